"""How long to wait before the next attempt to connect."""

import random
import time
from collections.abc import Callable
from typing import Final

_HELD: Final = 30.0
"""Seconds after which a connection counts as good, if a transfer got on over it or not. One that is
lost at once again and again (two clients of one name take it from each other) is tried more and
more seldom."""


class Backoff:
    """How long to wait before each attempt to connect again: twice as long each time, with jitter.

    Parameters
    ----------
    first, longest
        Seconds: the first wait at most, and any wait at most.
    source
        Randomness of the jitter, which keeps a shelf of devices from coming back all at once.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        first: float = 0.5,
        longest: float = 60.0,
        source: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.first = first
        self.longest = longest
        # Not cryptography, and no part of a federation's result.
        self._random = source or random.Random()  # noqa: S311
        self._clock = clock
        self._attempts = self._brief = 0
        self._connected_at: float | None = None
        self._progressed = False

    def connected(self) -> None:
        """Take note that a connection was made."""
        self._connected_at = self._clock()

    def progressed(self) -> None:
        """Take note that the connection was worth making; may be called from any thread."""
        self._progressed = True

    @property
    def lost_again(self) -> bool:
        """Whether this connection was lost at once, and so was the one before."""
        return self._brief > 0 and self._connected_at is not None and not self._was_good()

    def _was_good(self) -> bool:
        held = self._connected_at is not None and self._clock() - self._connected_at >= _HELD
        return held or self._progressed

    def next(self) -> float:
        """Seconds to wait now: between half and all of what the number of attempts gives."""
        if self._was_good():
            self._attempts = self._brief = 0
        elif self._connected_at is not None:
            self._brief += 1
        self._connected_at, self._progressed = None, False
        bound = min(self.longest, self.first * 2.0 ** min(self._attempts, 32))
        self._attempts += 1
        return bound * self._random.uniform(0.5, 1.0)
