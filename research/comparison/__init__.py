"""Methods, and recipes without their parts, trained and tested alike: ``compare`` and ``ablate``."""
