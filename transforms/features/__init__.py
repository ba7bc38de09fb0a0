"""Labelled images to features and streams of crops: what training reads."""
