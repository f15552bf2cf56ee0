"""What runs on the server: rounds, strategies, the ledger and the models it publishes.

It imports :mod:`shared` alone. It knows nothing of how a device hears or trains, and needs no
TensorFlow.
"""
