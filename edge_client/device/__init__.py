"""What a device hears, recognises, and is told about it."""
