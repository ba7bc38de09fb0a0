"""Shards of images that this repository makes: the demo's, the aligned track's, and samples of the prior."""
