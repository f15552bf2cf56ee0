"""A TCP proxy between a client and its broker that fails on purpose."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator

from tests.brokers import wait_until

_PIECE = 1 << 16

Fate = Callable[[Iterator[bytes]], Iterable[bytes]]
"""What becomes of the MQTT packets of one direction of a connection."""


class Proxy:
    """Passes bytes on to a port of this machine, until told otherwise.

    Parameters
    ----------
    target
        The broker's port; may be changed at any time.

    Attributes
    ----------
    port
        Where clients connect.
    passed
        Bytes passed on so far: to the broker, to the clients.
    fates
        What becomes of the packets to the broker, and to the clients, of connections that are
        opened from now on; ``None``: bytes pass as they come.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.passed = [0, 0]
        self.fates: list[Fate | None] = [None, None]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._links: list[socket.socket] = []
        self._cut = False
        self._cut_at: int | None = None
        self._delay = 0.0
        self._rate = 0.0
        self._flows = [threading.Event(), threading.Event()]
        self._ended = threading.Event()
        self._flow()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections, and every new one at once."""
        with self._lock:
            self._cut = True
            links, self._links = self._links, []
        for link in links:
            # Reset, as a network does it: what is on its way is lost.
            with contextlib.suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    def cut_after(self, count: int) -> None:
        """Cut when so many bytes more have passed to the broker."""
        self._cut_at = self.passed[0] + count

    def heal(self) -> None:
        """Let connections pass again."""
        self._cut_at = None
        with self._lock:
            self._cut = False
        self._flow()

    def drop(self, *ways: int) -> None:
        """Pass nothing on, and keep all connections open: a network that has gone silent.

        Parameters
        ----------
        *ways
            In which directions, as in ``passed``; both, if none is given.
        """
        for way in ways or (0, 1):
            self._flows[way].clear()

    def _flow(self) -> None:
        for flow in self._flows:
            flow.set()

    def delay(self, seconds: float) -> None:
        """Hold each piece (up to 64 KB) of either direction back for so long."""
        self._delay = seconds

    def narrow(self, rate: float) -> None:
        """Let so many bytes a second pass to the broker; 0: as many as come.

        Called before there are connections, it also keeps the system from holding megabytes of
        them on their way: what is sent is what passes, as on a line that is slow by itself.
        """
        self._rate = rate
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)

    @property
    def is_cut(self) -> bool:
        """Whether the proxy has cut the connections."""
        return self._cut

    def wait_for_bytes(self, count: int) -> None:
        """Wait, bounded, until so many bytes have passed to the broker."""
        wait_until(lambda: self.passed[0] >= count, f"{count} bytes at the broker")

    def close(self) -> None:
        """End the proxy."""
        self._ended.set()
        self._flow()
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            with self._lock:
                if self._cut:
                    client.close()
                    broker.close()
                    continue
                self._links += [client, broker]
            for link in (client, broker):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for way in ((client, broker, 0), (broker, client, 1)):
                threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, way: int) -> None:
        pieces: Iterable[bytes] = iter(lambda: source.recv(_PIECE), b"")
        if fate := self.fates[way]:
            pieces = fate(packets(pieces))
        with contextlib.suppress(OSError):
            for piece in pieces:
                self._flows[way].wait()
                if self._delay:
                    self._ended.wait(self._delay)
                if self._rate and way == 0:
                    self._ended.wait(len(piece) / self._rate)
                if way == 0 and self._cut_at is not None:
                    left = self._cut_at - self.passed[0]
                    if left < len(piece):
                        sink.sendall(piece[: max(left, 0)])
                        self.cut()
                        return
                sink.sendall(piece)
                self.passed[way] += len(piece)
        # Also after a reset: the other side would not hear of it before its keep-alive.
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def packets(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut what comes over a connection into MQTT's packets."""
    content = bytearray()
    for piece in pieces:
        content += piece
        while (end := _end(content)) <= len(content):
            yield bytes(content[:end])
            del content[:end]


def _end(content: bytearray) -> int:
    """Say where the first packet ends, beyond all that is there if it is not whole."""
    length = 0
    for place, byte in enumerate(content[1:5]):
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return 2 + place + length
    return len(content) + 1


def topic_of(packet: bytes) -> str:
    """Name the topic of a packet that publishes something; of another, nothing."""
    if packet[0] >> 4 != 3:
        return ""
    begin = next(place for place in range(1, 5) if packet[place] < 0x80) + 1
    length = int.from_bytes(packet[begin : begin + 2], "big")
    return packet[begin + 2 : begin + 2 + length].decode()


@contextlib.contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """Open a proxy to a port of this machine."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
