"""Look at a data set."""
