"""A client that sends faster than any library: packets that are made once, through a raw socket."""

import contextlib
import socket
import threading
from typing import Final

from shared.protocol.messages import Want
from shared.protocol.topics import Topics
from tests.aggregator.broker.wire import Raw, publish

PACKETS: Final = 1000
"""Packets that are handed to the system at once, if they are small."""


class Flood:
    """Publishes one message again and again, with QoS 0.

    Parameters
    ----------
    port
        Of a broker on this machine, which lets anybody in.
    topic, payload
        The message.
    count
        How often.
    packets
        Packets that are handed to the system at once.
    """

    def __init__(
        self, port: int, topic: str, payload: bytes, count: int, packets: int = PACKETS
    ) -> None:
        self._socket = Raw(port, "mallory").socket
        self._socket.settimeout(None)  # the broker may read slowly
        self._packets = publish(topic, payload) * packets
        self._rounds = count // packets
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        with contextlib.suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    @property
    def ended(self) -> bool:
        """Whether all is sent."""
        return not self._thread.is_alive()

    def _send(self) -> None:
        with self._socket, contextlib.suppress(OSError):  # it was told to stop
            for _ in range(self._rounds):
                self._socket.sendall(self._packets)


def of_wants(port: int, count: int, federation: str = "chorus", client: str = "mallory") -> Flood:
    """Ask for a file that nobody has, so many times."""
    want = Want(file="4" * 64, ranges=[(0, 1)])
    return Flood(port, Topics(federation).requests(client), want.encode(), count)
