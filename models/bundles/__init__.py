"""What a bundle is: its manifest, its files, its card, and the limits of its verdicts."""
