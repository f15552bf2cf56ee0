"""Features of utterances, whatever front end computed them: arrays, statistics, cache, store.

How sound becomes features is :mod:`shared.front_ends`.
"""
