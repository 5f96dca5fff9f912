"""Files, hardware, progress and the terminal: what the rest stands on, and nothing of images."""
