"""Shards of images that this repository makes: the demo's, the aligned track's, samples of the prior, and splits of others."""
