"""What was handed to the broker and is not known to have got there: how much, and for how long."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_SLOWEST: Final = 8 << 10
"""Bytes a second of the slowest line that a message is waited for on."""


class UnderWay:
    """Counts the bytes on their way, and notices what the broker never acknowledges.

    A broker acknowledges in the order in which it received (MQTT-4.6.0-2), and what is not
    acknowledged at all is written in that order too. So a message whose predecessors are all gone
    is next; if it stays next, its acknowledgement was lost: a broker drops some when it cannot get
    rid of them, and never sends them again.

    Its owner keeps threads apart.

    Parameters
    ----------
    clock
        A clock that only goes forward, in seconds.

    Attributes
    ----------
    bytes
        How much is under way.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.bytes = 0
        # What a message costs, and whether the broker owes an acknowledgement; oldest first.
        self._messages: OrderedDict[int, tuple[int, bool]] = OrderedDict()
        self._early: set[int] = set()
        self._next_since = 0.0

    def fits(self, size: int, most: int) -> bool:
        """Say whether so many bytes more are no more than ``most``; one message always is."""
        return self.bytes == 0 or self.bytes + size <= most

    def begin(self, size: int) -> None:
        """Count a message that is about to be handed over."""
        self.bytes += size

    def fail(self, size: int) -> None:
        """Learn that it was not taken."""
        self.bytes -= size

    def handed_over(self, mid: int, size: int, *, acknowledged: bool) -> None:
        """Learn the number of a message that was begun, and whether the broker acknowledges it."""
        if mid in self._early:
            self._early.discard(mid)
            self.bytes -= size
            return
        if not self._messages:
            self._next_since = self._clock()
        self._messages[mid] = size, acknowledged

    def arrive(self, mid: int) -> None:
        """Learn that a message was acknowledged or, where that is not done, written."""
        if mid not in self._messages:
            self._early.add(mid)  # its number is not known here yet
            return
        if mid == next(iter(self._messages)):
            self._next_since = self._clock()
        size, _ = self._messages.pop(mid)
        self.bytes -= size

    def overdue(self, patience: float) -> bool:
        """Say whether the next message is unacknowledged for longer than any line explains.

        Parameters
        ----------
        patience
            Seconds that a small message is waited for; a large one has its time on a slow line
            besides.
        """
        if not self._messages:
            return False
        size, acknowledged = next(iter(self._messages.values()))
        return acknowledged and self._clock() - self._next_since > patience + size / _SLOWEST

    def clear(self) -> None:
        """Forget everything: the connection is over."""
        self.bytes = 0
        self._messages.clear()
        self._early.clear()
