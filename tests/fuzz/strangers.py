"""Strangers that connect to the page and to the embedded broker, and send whatever they like."""

import functools
import logging
import socket
from pathlib import Path
from typing import Final

from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from edge_client.web.server import serve
from shared.web.server import WebServer
from tests.edge_client.web.stand_in import StandIn

_PATIENCE: Final = 10.0
"""Seconds within which whoever is well answers."""

_LOOK_EVERY: Final = 64
"""Strangers after which the broker is asked whether it is well."""

_MOST_MEMORY: Final = 256 << 20
"""Bytes that the broker's process has at most, whoever has been there."""

_CONNECT: Final = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
_WELCOME: Final = b"\x20\x02\x00\x00"
_TOKEN: Final = "a token for the fuzzer"  # noqa: S105 -- of a page that ends with the fuzzer


class _Errors(logging.Handler):
    """Keeps what is logged as an error, such as a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.found.append(self.format(record))


@functools.cache
def _page() -> tuple[WebServer, int, _Errors]:
    """Serve a page; give it with its port and what it logs."""
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    device = StandIn()
    device.hear(0.1, 0.6, 0.2, 0.1)
    server = serve(device, port=0, token=_TOKEN)
    return server, int(server.address.rpartition(":")[2].partition("/")[0]), errors


def to_page(data: bytes) -> None:
    """Send bytes to a page; it answers in HTTP or ends the connection, and logs no error."""
    _, port, errors = _page()
    answer = _asked(port, data.replace(b"PORT", str(port).encode()), _PATIENCE)
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:100]
    assert not answer.startswith(b"HTTP/1.1 500"), answer[:100]
    assert not errors.found, errors.found[0]


def page_inputs() -> list[bytes]:
    """Make requests, also of a browser that was let in."""
    server, port, _ = _page()
    link = server.address.partition(f":{port}")[2].encode()
    entering = b"GET %s HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n" % link
    answer = _asked(port, entering, _PATIENCE)
    cookie = answer.partition(b"set-cookie: ")[2].partition(b"=")[2].partition(b";")[0]
    known = (
        b"Host: localhost:PORT\r\nOrigin: http://localhost:PORT\r\nCookie: chorus-PORT=" + cookie
    )
    body = b'{"id": 1, "label": "sad"}'
    order = b"POST /do/%s HTTP/1.1\r\n" + known + b"\r\nContent-Length: %d\r\n\r\n%s"
    return [
        entering,
        b"GET /page.css HTTP/1.1\r\nHost: [::1]:PORT\r\n\r\n",
        b"GET http://[x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /sound/1.wav HTTP/1.1\r\n" + known + b"\r\nConnection: close\r\n\r\n",
        order % (b"correct", len(body), body),
        order % (b"confirm", 9, b'{"id": 1}'),
        order % (b"undo", 2, b"{}"),
    ]


@functools.cache
def _broker() -> EmbeddedBroker:
    """Start a broker."""
    broker = EmbeddedBroker(EmbeddedBrokerSettings(embedded_broker=True), port=0)
    broker.start()
    return broker


_sent = [0]


def to_broker(data: bytes) -> None:
    """Send bytes to the embedded broker; now and then see that it serves others."""
    broker = _broker()
    _asked(broker.port, data, 0.02)
    _sent[0] += 1
    if _sent[0] % _LOOK_EVERY == 1:
        with socket.create_connection(("127.0.0.1", broker.port), _PATIENCE) as honest:
            honest.sendall(_CONNECT)
            assert honest.recv(4) == _WELCOME, "an honest client is not let in"
        process = broker._process
        assert process
        assert process.poll() is None, "the broker has ended"
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        assert pages * 4096 < _MOST_MEMORY, "the broker has grown"


def broker_inputs() -> list[bytes]:
    """Make packets: connecting, subscribing, publishing with each quality, pinging, leaving."""
    subscribe = b"\x82\x08\x00\x01\x00\x03a/#\x01"
    will = b"\x10\x13\x00\x04MQTT\x04\x06\x00\x3c\x00\x01b\x00\x01w\x00\x01x"
    qos0, qos1, qos2 = (
        b"\x31\x06\x00\x03a/bx",
        b"\x32\x08\x00\x03a/b\x00\x01x",
        b"\x34\x08\x00\x03a/b",
    )
    return [
        _CONNECT + subscribe + b"\xc0\x00\xe0\x00",
        will + qos0 + qos1,
        _CONNECT + qos2 + b"\x00\x02x\x62\x02\x00\x02\xa2\x07\x00\x03\x00\x03a/#",
    ]


def _asked(port: int, data: bytes, patience: float) -> bytes:
    """Send bytes, say no more, and give what comes back until the end."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as stranger:
        stranger.settimeout(patience)
        try:
            stranger.sendall(data)
            stranger.shutdown(socket.SHUT_WR)
            while piece := stranger.recv(65536):
                found += piece
        except (TimeoutError, ConnectionError):
            pass
    return found
