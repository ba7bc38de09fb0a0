"""The commands of the laboratory, below `causalprint lab`."""
