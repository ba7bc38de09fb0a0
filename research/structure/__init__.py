"""How far fingerprints follow the way in which generators are built."""
