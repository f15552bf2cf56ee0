"""The process that serves: messages, uploads, distribution, and what is shown of it.

Nothing here decides what a round is (:mod:`aggregator.rounds`) or writes rows
(:mod:`aggregator.ledger`).
"""
