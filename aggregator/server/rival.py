"""Whether somebody else serves this federation on this broker: then this aggregator says nothing.

A broker lets in one client of a name at a time. So two aggregators of one federation throw each
other out, and never meet. But each announces where the federation stands whenever it is back, and
the broker keeps that. An aggregator that begins is silent at first: finds it, thrown out and back
again, that somebody has announced meanwhile, and that twice, there is another one.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from shared.errors import FederationError
from shared.loop import Loop
from shared.round_settings import MOST_CLIENTS

log = logging.getLogger(__name__)

QUESTION: Final = b"alone"
"""What it sends itself."""

LEFT: Final = b"another one has left"
"""What one that gives way leaves at the broker, for the other to find."""

PATIENCE: Final = 3.0
"""Seconds that another one has to come back: a second at most, where it serves undisturbed."""

ONCE_IN: Final = 60.0
"""Seconds in which such a word is heeded once: on a broker without rules anybody can leave it. One
that stays meanwhile is found with the next connection."""

_TWICE: Final = 2
"""How often somebody has to announce meanwhile: once, it may have been its last word."""


class Rival:
    """Finds out whether there is another one, before anything is said or heeded.

    Parameters
    ----------
    federation
        Its name.
    loop
        What the service stands on.
    say
        Publishes a message to where aggregators hear it; retained, or not.
    begin
        Called once, when there is none, with what clients have said of themselves meanwhile.

    Attributes
    ----------
    serves
        Whether this aggregator has begun.
    """

    def __init__(
        self,
        federation: str,
        loop: Loop,
        say: Callable[..., object],
        begin: Callable[[Mapping[str, bytes]], None],
    ) -> None:
        self.serves = False
        self._federation = federation
        self._loop = loop
        self._say = say
        self._begin = begin
        self._deadline = loop.deadline(self._alone)
        self._announced = False
        self._heeded = -ONCE_IN
        self._last = b""
        self._changes = 0
        self._presences: dict[str, bytes] = {}

    def connected(self) -> None:
        """Look: the connection is new."""
        self._announced, self._presences = False, {}
        self._deadline.within(PATIENCE)
        self._say(QUESTION)

    def lost(self) -> None:
        """Learn that the connection was lost."""
        self._deadline.cancel()

    def hear(self, payload: bytes) -> None:
        """Hear what was said here or by another one."""
        if payload == QUESTION and not self._announced and not self.serves:
            self._alone()  # what the broker keeps would have come before
        elif payload == LEFT and self._loop.clock() >= self._heeded + ONCE_IN:
            self._heeded = self._loop.clock()
            self._say(b"", retain=True)
            if self.serves:
                log.warning(
                    "Another aggregator wanted to serve the federation %s on this broker, and has "
                    "given way to this one. Give it another name with --federation.",
                    self._federation,
                )

    def announced(self, payload: bytes) -> None:
        """Learn what the broker keeps of announcements, or what is announced now."""
        if self.serves or self._announced:
            return
        self._announced = True
        self._changes += self._last not in (b"", payload)
        self._last = payload
        if self._changes == _TWICE:
            self._loop.put(self._leave)

    def hold(self, client: str, payload: bytes) -> None:
        """Keep what a client says of itself until this aggregator has begun."""
        if client in self._presences or len(self._presences) < MOST_CLIENTS:
            self._presences[client] = payload

    def _alone(self) -> None:
        self._deadline.cancel()
        self.serves = True
        self._begin(self._presences)
        self._presences = {}

    def _leave(self) -> None:
        self._say(LEFT, retain=True)
        raise FederationError(
            f"Another aggregator serves the federation {self._federation} on this broker.",
            "Stop that one first, or give this one another name with --federation.",
        )
