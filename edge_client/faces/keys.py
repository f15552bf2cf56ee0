"""Keys of a terminal, one at a time and without Return."""

import os
import re
import select
import sys
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

_NAMES: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",  # as terminals say it in their application mode
    b"\x1bOB": "down",
    b"\r": "enter",
    b"\n": "enter",
}

_ESCAPE: Final = b"\x1b"
_GAP: Final = 0.05
"""Seconds in which the next byte of an escape sequence comes, over a slow line too."""

_LONGEST: Final = 256
"""Bytes of the longest escape sequence: whoever sends more means none."""

_UNFINISHED: Final = re.compile(
    rb"\x1b("
    rb"\[\[?|\[[0-?]+[ -/]*|\[[ -/]+"  # CSI, parameters; Linux's function keys have a second [
    rb"|O[0-?]*"  # SS3
    rb"|[\]PX^_][^\x07]*"  # a terminal's answers, until BEL or, as an escape of its own, ST
    rb"|[ -/]+"
    rb")?"
)
"""Escape sequences that go on (ECMA-48, and what terminals send besides)."""


def _readable(handle: int, seconds: float) -> bool:
    return bool(select.select([handle], [], [], seconds)[0])


class Keys:
    """Reads the keys of a terminal while the context lasts, and leaves it as it was.

    Parameters
    ----------
    handle
        File descriptor of the terminal; standard input if not given.
    wait
        Waits so many seconds until there is something to read, and says whether there is.
    """

    def __init__(
        self, handle: int | None = None, wait: Callable[[int, float], bool] = _readable
    ) -> None:
        self._handle = sys.stdin.fileno() if handle is None else handle
        self._wait = wait

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._handle)
        tty.setcbreak(self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(termios.error):  # one that has gone cannot be left as it was
            termios.tcsetattr(self._handle, termios.TCSADRAIN, self._before)

    @property
    def gone(self) -> bool:
        """Whether the terminal is no longer there: its window was closed, its line cut."""
        return not os.isatty(self._handle)

    def get(self, seconds: float) -> str | None:
        """Wait so long for a key.

        Returns
        -------
        str or None
            A character, small if it is a letter (whatever Caps Lock says), ``up``, ``down`` or
            ``enter``; ``None`` if no key was pressed, or one that has no name here (Escape, F1);
            ``q`` if the terminal has gone.
        """
        if not self._wait(self._handle, seconds):
            return None
        key = self._read()
        if not key:
            return "q"
        if key == _ESCAPE:
            return _NAMES.get(self._sequence())
        return _NAMES.get(key, key.decode(errors="replace").lower())

    def _sequence(self) -> bytes:
        """Read on after an escape until its sequence ends; another escape begins a new one."""
        sequence = _ESCAPE
        for _ in range(_LONGEST):
            if not (_UNFINISHED.fullmatch(sequence) and self._wait(self._handle, _GAP)):
                break
            byte = self._read()
            sequence = byte if byte == _ESCAPE else sequence + byte
        return sequence

    def _read(self) -> bytes:
        """Read a byte; none if the terminal has gone."""
        try:
            return os.read(self._handle, 1)
        except OSError:
            return b""
