"""Talking to an MQTT broker: the connection, its settings, and what its troubles mean.

What the messages say is :mod:`shared.protocol`.
"""
