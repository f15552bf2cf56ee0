"""What any page of the project needs, and nothing of what it shows."""
