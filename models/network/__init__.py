"""The networks of a recipe: lens features to a fingerprint, a fingerprint to scores, and what they are trained for."""
