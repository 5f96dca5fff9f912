"""Describe a data set by numbers and pictures: ``p2pbench data explore``."""
