"""What the aggregator does when somebody else announces rounds: it says again what is true."""

import logging
from collections.abc import Callable
from typing import Final

from aggregator.server.announcer import Announcer
from shared.loop import Loop

log = logging.getLogger(__name__)

CONTRADICT: Final = 5.0
"""Seconds between two repetitions because of somebody else's announcements."""


class Contradiction:
    """Announces the round again after announcements of somebody who should not, not too often.

    Parameters
    ----------
    announcer
        Knows what was announced here.
    loop
        What it stands on.
    announce
        Announces the round again.
    arrived
        Told whenever what was announced here last is heard.
    topic
        Where rounds are announced, for the log.
    """

    def __init__(
        self,
        announcer: Announcer,
        loop: Loop,
        announce: Callable[[], None],
        arrived: Callable[[], None],
        topic: str,
    ) -> None:
        self._announcer = announcer
        self._clock = loop.clock
        self._announce = announce
        self._arrived = arrived
        self._topic = topic
        self._repetition = loop.deadline(self._repeat)
        self._repeated_at = -CONTRADICT

    def hear(self, payload: bytes) -> None:
        """Hear what was announced: by this process, or by somebody who should not."""
        if self._announcer.contradicts(payload):
            self._repetition.within(max(0.0, self._repeated_at + CONTRADICT - self._clock()))
        elif self._announcer.arrived:
            self._arrived()

    def _repeat(self) -> None:
        self._repeated_at = self._clock()
        log.warning(
            "Somebody else has announced a round of this federation: the true one is announced "
            "again. The broker should let nobody but the aggregator write to %s.",
            self._topic,
        )
        self._announce()
