"""The network that a bundle holds: standardised lens features to a fingerprint of 128 numbers."""
