"""Attacks on verdicts: ``anonymize`` and its study."""
