"""When the aggregator may go: once those who are there have the last round's model."""

from collections.abc import Callable
from typing import Final

_FETCHING: Final = 10.0
"""Seconds that those who are there have to ask for the last model, again and again until they have
it."""

_GREETING: Final = 2.0
"""Seconds after a connection within which the broker has told who is there."""


class Farewell:
    """Says when nobody is there any more who would ask for the last model.

    Parameters
    ----------
    anybody
        Says whether a client is there.
    clock
        A clock that only goes forward, in seconds.
    """

    def __init__(self, anybody: Callable[[], object], clock: Callable[[], float]) -> None:
        self._anybody = anybody
        self._clock = clock
        self._fetched_at = self._greeted_at = 0.0

    @property
    def leave_at(self) -> float:
        """When the aggregator may go, as far as is known now."""
        return self._fetched_at if self._anybody() else self._greeted_at

    def connected(self) -> None:
        """Learn that the broker begins to tell who is there."""
        self._greeted_at = self._clock() + _GREETING
        self.asked()

    def asked(self) -> None:
        """Learn that a client asks for a model, or that there is a new one to ask for."""
        self._fetched_at = self._clock() + _FETCHING
