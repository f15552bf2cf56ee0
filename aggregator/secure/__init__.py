"""The aggregator's side of secure aggregation: one round, its journal, and taking the masks off.

Messages come in and go out as bytes; who carries them is not known here.
"""
