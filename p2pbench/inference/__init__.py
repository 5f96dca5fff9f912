"""A trained generator as a function of pictures."""
