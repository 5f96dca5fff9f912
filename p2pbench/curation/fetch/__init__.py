"""Get a data set."""
