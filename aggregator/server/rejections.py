"""What is wrong with clients, said once each."""

import logging
import threading
from collections import Counter
from typing import Final

log = logging.getLogger(__name__)

_MOST: Final = 1000
"""Rejections of a round that are logged and remembered; whoever floods does not fill the disk."""

_MOST_EACH: Final = 10
"""The same about one client: it may say something else each time."""


class Rejections:
    """Logs what is wrong with a client, and does not repeat itself in the same round.

    It may be told from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()
        self._count: Counter[str] = Counter()

    def about(self, client: str, sentence: str) -> bool:
        """Log a sentence about a client; say whether it was new, and not one too many."""
        key = (client, sentence)
        with self._lock:
            full = len(self._known) >= _MOST or self._count[client] >= _MOST_EACH
            if key in self._known or full:
                return False
            self._known.add(key)
            self._count[client] += 1
            last = self._count[client] == _MOST_EACH
        log.warning("%s: %s", client, sentence)
        if last:
            log.warning("%s: its further errors in this round are not logged.", client)
        return True

    def forget(self) -> None:
        """Begin anew: another round."""
        with self._lock:
            self._known.clear()
            self._count.clear()
