"""How a device joins a federation by invitation, and what it keeps of that."""
