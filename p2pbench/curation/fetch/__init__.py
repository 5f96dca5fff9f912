"""Bring a data set of the paper onto this machine: ``p2pbench data fetch``."""
