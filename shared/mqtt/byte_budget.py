"""Messages that wait for a loop: as many bytes as it may hold, and no more."""

import threading
from typing import Final

_OVERHEAD: Final = 512
"""Bytes that a message costs while it waits, besides its payload, about; bounds their number."""


class ByteBudget:
    """Counts the bytes that wait; the network's thread adds, the loop takes away.

    Parameters
    ----------
    most
        Bytes that may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._bytes = 0

    def add(self, payload: bytes) -> bool:
        """Count a message, if there is room for it."""
        size = len(payload) + _OVERHEAD
        with self._lock:
            room = self._bytes + size <= self._most
            if room:
                self._bytes += size
        return room

    def remove(self, payload: bytes) -> None:
        """Count a message as taken."""
        with self._lock:
            self._bytes -= len(payload) + _OVERHEAD
