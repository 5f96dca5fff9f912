"""Scores of translated images against their targets, each with its settings, its n and its error bar."""
