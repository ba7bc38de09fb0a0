"""Bundles on labelled images: ``evaluate``."""
