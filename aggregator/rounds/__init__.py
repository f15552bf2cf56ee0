"""A federation as it lies on the disk: its rules, aggregation and scores.

No network and no threads here: :mod:`aggregator.server` brings messages and takes answers.
"""
