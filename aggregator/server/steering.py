"""What a person orders while the service runs, from any thread: done in the service's own."""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from aggregator.ledger import Version
from aggregator.server.course import Course
from shared.errors import FederationError
from shared.loop import Loop

Done = TypeVar("Done")
"""What an order gives back."""

_PATIENCE: Final = 20.0
"""Seconds that another thread waits until the service comes to what it asks for."""


class Steering:
    """Lets others steer the course of the rounds; its methods are called from any other thread.

    Parameters
    ----------
    loop
        What the service stands on.
    course
        Does what is ordered.
    """

    def __init__(self, loop: Loop, course: Course) -> None:
        self._loop = loop
        self._course = course

    def roll_back(self, number: int, patience: float = _PATIENCE) -> Version:
        """Make the model after a round current again.

        An open round is abandoned, and the next one begins with that model.

        Parameters
        ----------
        number
            The round.
        patience
            Seconds to wait until the service comes to it.

        Raises
        ------
        FederationError
            If there is no such model or its files are no longer kept, if a round is being
            aggregated, or the service does not come to it.
        StorageError
            If the disk is full.
        """
        return self._ask(partial(self._course.roll_back, number), patience)

    def pause(self, *, paused: bool) -> None:
        """Let no round open, or let them open again.

        An open round goes on to its end.

        Parameters
        ----------
        paused
            Whether no round opens from now on, also after a restart.

        Raises
        ------
        FederationError
            If the service does not come to it.
        StorageError
            If the disk is full.
        """
        self._ask(partial(self._course.pause, paused=paused), _PATIENCE)

    def _ask(self, do: Callable[[], Done], patience: float) -> Done:
        try:
            return self._loop.ask(do, patience)
        except TimeoutError:
            raise FederationError("The aggregator is too busy.", "Try again later.") from None
