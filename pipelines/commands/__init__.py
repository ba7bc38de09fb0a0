"""The command line's parts: a file of options a command, and what each does once its arguments are values."""
