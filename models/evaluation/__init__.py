"""What verdicts are worth: splits, scores, perturbations, audits of shortcuts, comparisons and ablations."""
