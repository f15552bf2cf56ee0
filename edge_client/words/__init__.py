"""What is said beside how it is said: recognised on this machine, and never sent from it."""
