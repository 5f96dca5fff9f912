"""Make pairs."""
