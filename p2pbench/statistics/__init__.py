"""Intervals, paired comparisons and factorial effects: arrays in, numbers out. A Fréchet distance has no interval."""
