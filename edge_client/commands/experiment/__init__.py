"""``edge-client experiment``: a command an experiment, one file each, and what they share."""
