"""What a training leaves: folders, records, the store."""
