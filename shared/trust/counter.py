"""Numbers that are never used twice, and that only grow: what says which message is newer.

No clock is needed for that. A clock helps in one case: a folder that was put back from a copy has
forgotten the last numbers. So a process begins at its time where that is further on.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.errors import StorageError, TrustError
from shared.storage.files import read_small, replacing
from shared.storage.owners import denied
from shared.trust.signing import LARGEST_COUNTER

BLOCK: Final = 1 << 20
"""Numbers that are set aside at a time: the disk is written to once a process, usually."""

_LONGEST: Final = 32
"""Bytes of a file with a number."""


class Counter:
    """Gives numbers to sign with; for one process at a time, and any thread of it.

    Parameters
    ----------
    path
        The file that says up to where numbers may have been used.
    clock
        Gives the time, in seconds since 1970.
    block
        How many numbers to set aside at a time.

    Raises
    ------
    TrustError
        If the file cannot be read.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, block: int = BLOCK
    ) -> None:
        self._path = path
        self._clock = clock
        self._block = block
        self._lock = threading.Lock()
        self._next = self._end = 0
        read_number(path)  # who could not sign shall hear of it before there is something to say

    def next(self) -> int:
        """Give the next number.

        Raises
        ------
        StorageError
            If the disk is full, and all numbers are used that were set aside.
        TrustError
            If the file cannot be read, or there are no more numbers.
        """
        with self._lock:
            if self._end - self._next <= self._block // 2:
                with suppress(*([StorageError] if self._next < self._end else [])):
                    self._set_aside()
            self._next += 1
            return self._next - 1

    def _set_aside(self) -> None:
        used = self._end or max(read_number(self._path), int(self._clock()) * BLOCK)
        if used + self._block > LARGEST_COUNTER:
            raise TrustError(
                f"There are no more numbers to sign with after that in {self._path}.",
                "Look at this machine's clock, then remove the file.",
            )
        write_number(self._path, used + self._block)
        self._next, self._end = self._next or used, used + self._block


class Highest:
    """The highest number that was heard of somebody: what is below it is old.

    Parameters
    ----------
    path
        The file that remembers it, so that no restart forgets it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = read_number(path)

    def take(self, number: int) -> bool:
        """Learn of a number; say whether it is none of the past. It is safe when this returns.

        Raises
        ------
        StorageError
            If the disk is full; then nothing was learned.
        """
        if number > self._number:
            write_number(self._path, number)
            self._number = number
        return number == self._number


def read_number(path: Path) -> int:
    """Read a number that was written down; 0 if none was.

    Raises
    ------
    TrustError
        If what is there is no number: to begin anew would let old messages in.
    """
    try:
        text = read_small(path, _LONGEST).decode("ascii")
    except FileNotFoundError:
        return 0
    except PermissionError as error:
        raise denied("The number in", path) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not text.strip().isdigit():
        raise _unreadable(path)
    return int(text)


def write_number(path: Path, number: int) -> None:
    """Write a number down, safe on return; raises :class:`StorageError` as files do."""
    with replacing(path, 0o600, durable=True) as aside:
        aside.write_text(f"{number}\n")


def _unreadable(path: Path) -> TrustError:
    return TrustError(
        f"{path} should hold a number, and does not.", "Bring the file back from a copy."
    )
