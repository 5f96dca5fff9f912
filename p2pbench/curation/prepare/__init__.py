"""Make pairs from images: ``p2pbench data prepare``."""
