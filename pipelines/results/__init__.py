"""What is published: sections of ``RESULTS.md``, and figures."""
