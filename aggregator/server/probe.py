"""Whether the broker passes on what the aggregator sends: a message as large as a chunk, to itself.

A broker with a limit on messages takes a chunk, acknowledges it, and drops it; or it ends the
connection. MQTT 3.1.1 says nothing of either. Without this, a round would stay open for ever.
"""

import logging
from collections.abc import Callable
from typing import Final

from shared.loop import Loop

log = logging.getLogger(__name__)

PATIENCE: Final = 8.0
"""Seconds within which both messages should have come back, on a line that costs no time."""

_SLOWEST: Final = 32 << 10
"""Bytes a second of the slowest line; its time is granted besides."""

_SMALL: Final = b"small"

_TWICE: Final = 2
"""Connections that are lost over the large message one after the other until it is said."""


class Probe:
    """Sends a small message and a large one, and says if the small one alone comes back.

    Parameters
    ----------
    loop
        What the service stands on.
    size
        Bytes of the large message.
    publish
        Publishes a message to where the aggregator hears it.
    """

    def __init__(self, loop: Loop, size: int, publish: Callable[[bytes], object]) -> None:
        self._large = bytes(size)
        self._publish = publish
        self._deadline = loop.deadline(self._missed)
        self._small_is_back = False
        self._waits = False
        self._lost = 0

    def connected(self) -> None:
        """Try it: the connection is new."""
        self._small_is_back, self._waits = False, True
        self._publish(_SMALL)
        self._publish(self._large)
        self._deadline.within(PATIENCE + len(self._large) / _SLOWEST)

    def arrived(self, payload: bytes) -> None:
        """Learn that a message has come back."""
        if payload == _SMALL:
            self._small_is_back = True
        elif len(payload) == len(self._large):
            self._waits, self._lost = False, 0
            self._deadline.cancel()

    def lost(self) -> None:
        """Learn that the connection was lost."""
        self._deadline.cancel()
        if self._waits and self._small_is_back:
            self._lost += 1
            if self._lost == _TWICE:
                self._say("ends the connection when it is sent a message")
        self._waits = False

    def _missed(self) -> None:
        if self._waits and self._small_is_back:
            self._say("does not pass on messages")
        self._waits = False

    def _say(self, what: str) -> None:
        log.error(
            "The broker %s of %d bytes, as large as a chunk: no device can fetch the model. Raise "
            "its limit (Mosquitto's message_size_limit or max_packet_size), or give a smaller "
            "--chunk.",
            what,
            len(self._large),
        )
