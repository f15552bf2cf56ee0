"""What a device shows: the terminal with its keys, and Home Assistant."""
