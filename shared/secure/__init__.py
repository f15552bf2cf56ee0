"""Secure aggregation (Bonawitz et al., 2017): the sum of a round's updates, and nothing else.

What both sides need: masks, shares, seals, what is signed, and a round's terms. A device's side is
in ``edge_client/secure/``, the aggregator's in ``aggregator/secure/``; docs/secure.md has the whole
exchange. Nothing here opens a connection or a thread.
"""
