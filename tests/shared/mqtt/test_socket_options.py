"""What a connection asks of the system's TCP, against the system's TCP."""

import contextlib
import fcntl
import socket
import struct
import sys

import pytest

from shared.mqtt.socket_options import UNSENT_BYTES, set_up

SIOCOUTQNSD = 0x894B
"""Linux: how many bytes a socket holds that are not on the line yet."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is not sent yet")
def test_the_system_takes_little_that_is_not_on_the_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        with socket.create_connection(listener.getsockname()) as sock, listener.accept()[0]:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)  # a line once fast
            set_up(sock)
            sock.setblocking(False)
            chunk = bytes(1 << 16)
            with contextlib.suppress(BlockingIOError):
                while sock.send(chunk):
                    pass
            (unsent,) = struct.unpack("i", fcntl.ioctl(sock, SIOCOUTQNSD, bytes(4)))
            assert 0 < unsent <= UNSENT_BYTES + len(chunk)
