"""What a connection to the broker asks of the system's TCP."""

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

UNSENT_BYTES: Final = 256 << 10
"""What the system may hold that is not even on the line yet. Its buffer grows to megabytes, minutes
of a slow line, in which a connection would find that nothing is on its way."""

_NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)
"""Linux's and macOS's option; elsewhere there is none."""

_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Linux's option; elsewhere there is none."""


@contextlib.contextmanager
def system_socket(sock: Any) -> Iterator[socket.socket]:
    """Give the system's socket, also of a connection over websockets, which paho wraps.

    Raises
    ------
    OSError
        If it is closed.
    """
    if isinstance(sock, socket.socket):
        yield sock
        return
    # A second name of the same socket: closing it does not close the connection.
    with socket.socket(fileno=os.dup(sock.fileno())) as own:
        yield own


def set_up(sock: Any) -> None:
    """Send small packets at once, and take no more than what will soon be on the line.

    With Nagle's algorithm each acknowledgement can take 40 ms.
    """
    with system_socket(sock) as own:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _NOTSENT_LOWAT is not None:
            own.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)


def acknowledge_at_once(sock: Any) -> None:
    """Let the system acknowledge what has arrived without waiting for more (TCP_QUICKACK).

    A broker with Nagle's algorithm, as Mosquitto is by default, holds its next small packet back
    until then: 40 ms for each step of a round. The system forgets it, so it is asked each time.
    """
    if sock is not None and _QUICKACK is not None:
        with (
            contextlib.suppress(OSError),
            system_socket(sock) as own,
        ):  # if it was not lost meanwhile
            own.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def shut_down(sock: Any) -> None:
    """End a connection from another thread than the one that reads it, unless it was lost."""
    with contextlib.suppress(OSError), system_socket(sock) as own:
        # The system's own: a TLS socket would forget its keys before it is read to its end.
        socket.socket.shutdown(own, socket.SHUT_RDWR)
