"""Doubt a data set."""
