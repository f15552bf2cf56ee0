"""What pictures of runs and of federations have in common, and those that both have."""
