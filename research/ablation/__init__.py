"""What each part of a recipe is worth: trained and tested without it, and each lens alone."""
