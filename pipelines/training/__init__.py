"""What learns: bundles, lenses, and the repository's own generators."""
