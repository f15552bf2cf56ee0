"""A whole federation in one process, for a workstation."""
