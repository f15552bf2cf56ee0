"""Experiments: many runs, trainings or trials, each kept when it is done, with tables and pictures.

The simulator (:mod:`edge_client.simulation`) knows nothing of them. A study plans its parts, makes
each once (``experiments`` and ``cells`` resume), and reads tables from what was kept.
"""
