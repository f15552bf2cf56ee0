"""Strategies of federated aggregation, one file each."""
