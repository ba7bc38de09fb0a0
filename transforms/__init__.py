"""Beam transforms, thin shells over plain functions."""
