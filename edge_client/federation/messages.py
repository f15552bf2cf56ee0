"""What comes to a device from its federation: believed, read, and taken to what it is about."""

from collections.abc import Callable
from functools import partial
from typing import Final

from edge_client.enrolment.membership import Membership
from edge_client.federation.telling import Telling
from shared.errors import ChorusError, StorageError, TrustError
from shared.loop import Loop
from shared.protocol.frames import Chunk
from shared.protocol.messages import Announcement
from shared.protocol.topics import Topics

AGAIN: Final = 30.0
"""Seconds until what failed, on a full disk for one, is tried again."""


class Messages:
    """Takes each message: a model's chunk in the network's thread, all others in the loop.

    Parameters
    ----------
    topics, client
        Where messages for this device come, and its name.
    loop
        What it stands on.
    membership
        Whom it believes, if it has joined by invitation.
    telling
        Told what is wrong with a message.
    chunk
        Takes a chunk, in the network's thread.
    announced
        Takes an announcement.
    replied
        Takes what is said to this device alone.

    Attributes
    ----------
    words
        The topics of what is no chunk.
    """

    def __init__(
        self,
        topics: Topics,
        client: str,
        *,
        loop: Loop,
        membership: Membership | None,
        telling: Telling,
        chunk: Callable[[Chunk], None],
        announced: Callable[[Announcement], None],
        replied: Callable[[bytes], None],
    ) -> None:
        self._rounds = topics.round
        self.words = [topics.round, topics.replies(client)]
        self._loop = loop
        self._membership = membership
        self._telling = telling
        self._chunk = chunk
        self._announced = announced
        self._replied = replied
        self._newest = b""  # of the announcements, as it came

    def arrived(self, topic: str, payload: bytes) -> None:
        """Take a message in the network's thread: a model's chunk at once, others to the loop."""
        if topic in self.words:
            if topic == self._rounds:
                self._newest = payload
            self._loop.message(topic, payload, partial(self._take, topic, payload))
            return
        try:
            self._chunk(Chunk.decode(payload))
        except ChorusError as error:
            self._loop.put(partial(self._telling.failed, error))

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            if self._membership and payload:
                self._membership.check(topic, payload)
            if topic == self._rounds:
                if payload:
                    self._announced(Announcement.decode(payload))
            else:
                self._replied(payload)
        except StorageError:
            self._loop.later(AGAIN, partial(self._take_again, topic, payload))
            raise
        except TrustError as error:
            self._telling.in_vain(error)
        except ChorusError as error:
            self._telling.remark(error)

    def _take_again(self, topic: str, payload: bytes) -> None:
        """Take a message that met a full disk, unless it announces what is past by now."""
        if topic != self._rounds or payload is self._newest:
            self._take(topic, payload)
