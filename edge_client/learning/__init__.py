"""Training on a client: steps, a round, the personal model.

Nothing here knows of a network, a device or a simulation: all three call it.
"""
