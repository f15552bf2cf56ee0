"""A raw connection that one thread both reads and writes.

A TLS connection of Python is not for two threads: one that reads while another writes may lose what
comes, or garble what goes.
"""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final

from tests.brokers import BOUND

_AT_ONCE: Final = 1 << 16

_LATER: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class RawLine:
    """Reads and writes a connection until it ends.

    Parameters
    ----------
    link
        The connection, which is the line's from now on.
    hear
        Is called in the line's thread with what comes; a :class:`ValueError` there ends the line.
    """

    def __init__(self, link: socket.socket, hear: Callable[[bytes], None]) -> None:
        link.setblocking(False)
        self._link, self._hear = link, hear
        self._ours, self._theirs = socket.socketpair()
        self._changed = threading.Condition()
        self._pending = bytearray()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def say(self, content: bytes) -> None:
        """Write all of it, unless the line ends; in the line's own thread, later."""
        with self._changed:
            self._pending += content
            self._wake()
            if threading.current_thread() is not self._thread:
                self._changed.wait_for(lambda: self._ended or not self._pending, BOUND)

    def close(self) -> None:
        """End the line."""
        with self._changed:
            self._ended = True
            self._wake()
        self._thread.join(BOUND)
        for end in (self._link, self._ours, self._theirs):
            end.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._theirs.send(b"!")

    def _run(self) -> None:
        try:
            with contextlib.suppress(OSError, ValueError):
                while not self._ended:
                    writing = [self._link] if self._pending else []
                    ready, _, _ = select.select([self._link, self._ours], writing, [])
                    if self._ours in ready:
                        self._ours.recv(_AT_ONCE)
                    self._read()
                    self._write()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _read(self) -> None:
        with contextlib.suppress(*_LATER):
            while True:  # what TLS has decrypted already, nothing else would tell of
                content = self._link.recv(_AT_ONCE)
                if not content:
                    raise ConnectionError("the other end has gone")
                self._hear(content)

    def _write(self) -> None:
        with self._changed:
            with contextlib.suppress(*_LATER):
                while self._pending:
                    # What TLS could not write has to be given to it again, as it was.
                    del self._pending[: self._link.send(self._pending[:_AT_ONCE])]
            if not self._pending:
                self._changed.notify_all()
