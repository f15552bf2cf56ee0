"""Keys of a terminal, one at a time and without Return."""

import os
import select
import sys
import termios
import tty
from typing import Final, Self

_NAMES: Final = {b"\x1b[A": "up", b"\x1b[B": "down", b"\r": "enter", b"\n": "enter"}
_LONGEST: Final = 16


class Keys:
    """Reads the keys of a terminal while the context lasts, and leaves it as it was.

    Parameters
    ----------
    handle
        File descriptor of the terminal; standard input if not given.
    """

    def __init__(self, handle: int | None = None) -> None:
        self._handle = sys.stdin.fileno() if handle is None else handle

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._handle)
        tty.setcbreak(self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(self._handle, termios.TCSADRAIN, self._before)

    def get(self, seconds: float) -> str | None:
        """Wait so long for a key.

        Returns
        -------
        str or None
            A character, small if it is a letter (whatever Caps Lock says), ``up``, ``down`` or
            ``enter``; ``None`` if no key was pressed; ``q`` if the terminal has gone.
        """
        if not select.select([self._handle], [], [], seconds)[0]:
            return None
        try:
            first = os.read(self._handle, 1)
        except OSError:
            first = b""
        if not first:
            return "q"
        if first == b"\x1b":
            while len(first) < _LONGEST and select.select([self._handle], [], [], 0)[0]:
                first += os.read(self._handle, 1)
                if first in _NAMES:
                    break
        return _NAMES.get(first, first.decode(errors="replace").lower())
