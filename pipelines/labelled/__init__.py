"""Labelled images as they are worked on: crops, and whole images."""
