"""What each client may ask for: so much at once, and so much a second in the long run."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_CLIENTS: Final = 20_000
"""Clients that are remembered; of further ones, those that asked least recently begin anew."""


class Shares:
    """Measures out to each client what it asks for, so that one cannot take it from the others.

    It may be asked from any thread.

    Parameters
    ----------
    at_once
        What a client has at first, and saves up at most.
    per_second
        What it gets again a second.
    clock
        A clock that only goes forward, in seconds.
    """

    def __init__(self, at_once: float, per_second: float, clock: Callable[[], float]) -> None:
        self._at_once = at_once
        self._per_second = per_second
        self._clock = clock
        self._lock = threading.Lock()
        # What is left, and when that was so; who asked least recently first.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __contains__(self, client: str) -> bool:
        """Say whether a client has asked for something."""
        return client in self._left

    def clients(self) -> list[str]:
        """Name those who have asked for something."""
        with self._lock:
            return list(self._left)

    def take(self, client: str, amount: float = 1.0) -> bool:
        """Take something off a client's share; say whether there was as much left."""
        with self._lock:
            now = self._clock()
            before, at = self._left.get(client, (self._at_once, now))
            left = min(self._at_once, before + (now - at) * self._per_second)
            enough = amount <= left
            self._left[client] = (left - amount if enough else left), now
            self._left.move_to_end(client)
            if len(self._left) > MOST_CLIENTS:
                self._left.popitem(last=False)
            return enough
