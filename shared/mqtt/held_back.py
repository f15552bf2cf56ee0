"""Messages that came before the subscriptions that they belong to were acknowledged."""

from typing import Final

import paho.mqtt.client as mqtt

_EACH: Final = 500
"""Bytes that a message takes besides what it says."""


class HeldBack:
    """Keeps such messages, in order: brokers may send retained ones that early.

    Attributes
    ----------
    bytes
        What they take in memory, about.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._messages: list[mqtt.MQTTMessage] = []

    def add(self, message: mqtt.MQTTMessage) -> None:
        """Keep one more."""
        self._messages.append(message)
        self.bytes += len(message.payload) + _EACH

    def release(self) -> list[mqtt.MQTTMessage]:
        """Give all of them, and keep none."""
        messages, self._messages, self.bytes = self._messages, [], 0
        return messages
