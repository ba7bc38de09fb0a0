"""Images changed until a verdict changes."""
