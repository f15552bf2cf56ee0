"""What others can cause to be logged does not fill the disk."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

MOST_EACH: Final = 20
"""Warnings and errors of one place in the program about one client, or one topic, in an hour."""

MOST: Final = 500
"""Those of one place in the program about anything, in an hour."""

LONGEST: Final = 16_000
"""Characters of a record, with its traceback."""

_HOUR: Final = 3600.0

_SHOWN: Final = 100
"""Characters by which one client or topic is told from another."""


def printable(text: str) -> str:
    """Escape what cannot be printed, but for ends of lines: it would write to the terminal.

    A name or a sentence of somebody else may hold such letters.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class ShortLines(logging.Formatter):
    """Writes records, tracebacks too, of a bounded length: the middle of a longer one is left out.

    How a traceback begins says where, and how it ends says why. What cannot be printed, such as
    what is in a file's name, is escaped: it does not write to the terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as a text."""
        text = printable(super().format(record))
        left_out = len(text) - LONGEST
        if left_out <= 0:
            return text
        half = LONGEST // 2
        return f"{text[:half]}\n... ({left_out} characters are left out) ...\n{text[-half:]}"


class LogBound(logging.Filter):
    """Lets so many warnings and errors of a kind pass in an hour, tracebacks too.

    A kind is a line of the program, and the first value that it logs: a client's name, a topic.

    Parameters
    ----------
    clock
        Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._passed: Counter[tuple[object, ...]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is logged; the last one of a kind says that it is."""
        if record.levelno < logging.WARNING:
            return True
        place = (record.pathname, record.lineno)
        about = record.args[:1] if isinstance(record.args, tuple) else ()
        kind = (*place, *(str(value)[:_SHOWN] for value in about))
        with self._lock:
            if self._clock() - self._began >= _HOUR:
                self._began = self._clock()
                self._passed.clear()
            if self._passed[kind] >= MOST_EACH or self._passed[place] >= MOST:
                return False
            self._passed.update({kind, place})
            last = self._passed[kind] == MOST_EACH or self._passed[place] == MOST
        if last:
            record.msg = f"{record.msg} (More of this kind is not logged for up to an hour.)"
        return True
