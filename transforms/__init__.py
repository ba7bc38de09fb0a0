"""Beam transforms, one a file, each a thin shell over a plain function."""
