"""What comes in over a connection: handed on once all that was subscribed to is acknowledged."""

import logging
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as mqtt

from shared.mqtt.subscriptions import Subscriptions

log = logging.getLogger(__name__)

_EACH: Final = 500
"""Bytes that a message takes besides what it says."""


class Arrivals:
    """Hands messages on, and those that brokers send too early later, in order.

    Brokers may send retained messages before they acknowledge the subscriptions.

    Parameters
    ----------
    subscriptions
        What is received.
    on_message
        Called with topic and payload. What it raises is logged and ends nothing.

    Attributes
    ----------
    held_back
        What early messages take in memory, in bytes, about.
    """

    def __init__(
        self, subscriptions: Subscriptions, on_message: Callable[[str, bytes], None]
    ) -> None:
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._early: list[mqtt.MQTTMessage] = []
        self.held_back = 0

    def hand_on(self, message: mqtt.MQTTMessage) -> None:
        """Hand a message on, if it is of a topic that is subscribed to."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # it is none of ours, and no broker that keeps to MQTT tells of it
        try:
            # Some brokers send what others have subscribed to, too.
            if self._subscriptions.match(topic):
                self._on_message(topic, bytes(message.payload))
        except Exception:
            log.exception("A message to %s could not be handled.", topic)

    def hold_back(self, message: mqtt.MQTTMessage) -> None:
        """Keep a message that came too early."""
        self._early.append(message)
        self.held_back += len(message.payload) + _EACH

    def release(self) -> None:
        """Hand on what was held back."""
        early = self._early
        self.drop()
        for message in early:
            self.hand_on(message)

    def drop(self) -> None:
        """Forget what was held back: its connection is over."""
        self._early, self.held_back = [], 0
