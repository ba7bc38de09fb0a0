"""Recipes: argv -> config -> build(root, config). Importing this package never imports torch or Beam."""
