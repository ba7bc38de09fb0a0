"""The command line's parts: a file a command, with its options and what it does once they are values."""
