"""Takes no packet that is larger than any of the protocol's."""

import errno
import os
from typing import Final

import paho.mqtt.client as mqtt

LARGEST_PACKET: Final = (16 << 20) + (1 << 16)
"""Bytes of a packet that is taken: the largest chunk, with its topic."""


class BoundedClient(mqtt.Client):
    """A client that ends its connection at the head of a packet that is too large.

    Paho takes any, and reads on as long as more is there.
    """

    @property
    def incoming(self) -> int:
        """Bytes of the packet that is being received, as its head says; 0 between two."""
        size: int = self._in_packet["remaining_length"]
        return size

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > LARGEST_PACKET:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        return super()._sock_recv(bufsize)
