"""Find what is wrong with a data set: ``p2pbench data check``."""
