"""The messages that the embedded broker keeps for those who come later: bounded."""

from collections.abc import Iterator
from typing import Final

from aggregator.broker.packets import Message

MOST: Final = 16 << 20
"""Bytes of all that is kept. The presences of 10,000 clients are 5 MB of it."""

OVERHEAD: Final = 256
"""Bytes that a message costs besides topic and payload, about; bounds their number too."""


class Retained:
    """The last retained message of each topic.

    When there are too many bytes, the oldest message of whoever has written most makes way: so
    nobody's flood costs others what they keep.
    """

    def __init__(self) -> None:
        self._writers: dict[str, dict[str, Message]] = {}
        self._writer_of: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return sum(self._sizes.values())

    def put(self, message: Message, writer: str) -> None:
        """Keep a message, or with an empty payload keep none of its topic."""
        self._drop(message.topic)
        if not message.payload:
            return
        self._writers.setdefault(writer, {})[message.topic] = message
        self._writer_of[message.topic] = writer
        self._sizes[writer] = self._sizes.get(writer, 0) + _size(message)
        while self.size > MOST:
            most = max(self._sizes, key=self._sizes.__getitem__)
            self._drop(next(iter(self._writers[most])))

    def __iter__(self) -> Iterator[Message]:
        for kept in self._writers.values():
            yield from kept.values()

    def get(self, topic: str) -> Message | None:
        """Give what is kept of a topic."""
        writer = self._writer_of.get(topic)
        return None if writer is None else self._writers[writer][topic]

    def _drop(self, topic: str) -> None:
        writer = self._writer_of.pop(topic, None)
        if writer is None:
            return
        self._sizes[writer] -= _size(self._writers[writer].pop(topic))
        if not self._writers[writer]:
            del self._writers[writer], self._sizes[writer]


def _size(message: Message) -> int:
    return len(message.topic) + len(message.payload) + OVERHEAD
