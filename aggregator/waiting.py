"""Messages that wait for the service's loop: as many bytes as it may hold, and no more."""

import threading
from typing import Final

MOST: Final = 64 << 20
"""Bytes that may wait: twice what all clients together are told that they may send."""


class Waiting:
    """Counts the bytes that wait; the network's thread adds, the loop takes away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0

    def add(self, size: int, *, may_be_lost: bool) -> bool:
        """Count a message, if there is room for it.

        Parameters
        ----------
        size
            Its bytes.
        may_be_lost
            Whether its client will send it again: there is twice the room for others.
        """
        with self._lock:
            if self._bytes + size > (MOST if may_be_lost else 2 * MOST):
                return False
            self._bytes += size
            return True

    def remove(self, size: int) -> None:
        """Count a message as taken."""
        with self._lock:
            self._bytes -= size
