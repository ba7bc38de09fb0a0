"""One encoded image: what it is by its first bytes, what its headers say, and its pixels."""
