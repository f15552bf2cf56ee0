"""A device's side of secure aggregation: its part in one round, and what it remembers of rounds.

Messages come in and go out as bytes; who carries them is not known here.
"""
