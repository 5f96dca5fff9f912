"""What can be set, what it defaults to, and what identifies a run."""
