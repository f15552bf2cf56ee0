"""Strangers that connect to a page or to the embedded broker, and send whatever they like."""

import functools
import logging
import socket
import time
from pathlib import Path
from typing import Final

import aggregator.web.server
import edge_client.web.server
from aggregator.broker.embedded import EmbeddedBroker, EmbeddedBrokerSettings
from aggregator.rounds.federation import Federation
from aggregator.server.screen import look
from shared.web.server import WebServer
from tests.aggregator.web.staged import enrol, settings_of
from tests.edge_client.web.stand_in import StandIn
from tests.fuzz.folder import FOLDER

PATIENCE: Final = 60.0
"""Seconds within which whoever is well answers."""

_SHORT: Final = 0.5
"""Seconds for an answer to what may be no whole request: a page waits for its end."""

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
def _errors() -> _Errors:
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    return errors


def errors_logged() -> list[str]:
    """Give what has been logged as an error since this was asked first."""
    return _errors().found


@functools.cache
def _device_page() -> WebServer:
    """Serve a device's page."""
    device = StandIn()
    device.hear(0.1, 0.6, 0.2, 0.1)
    return edge_client.web.server.serve(device, port=0, token=_TOKEN)


@functools.cache
def _operator_page() -> WebServer:
    """Serve an aggregator's page."""
    federation = Federation(settings_of(FOLDER / "federation", 3))
    enrol(federation.folder, ("desk",))
    return aggregator.web.server.serve(
        federation.folder,
        lambda: look(federation, time.monotonic()),
        federation,
        "127.0.0.1",
        0,
        by_invitation=True,
    )


def _port(server: WebServer) -> int:
    return int(server.address.rpartition(":")[2].partition("/")[0])


def to_device_page(data: bytes, patience: float = _SHORT) -> bytes:
    """Send bytes to a device's page; give what it answers meanwhile."""
    return _to_page(_device_page(), data, patience)


def to_operator_page(data: bytes, patience: float = _SHORT) -> bytes:
    """Send bytes to an aggregator's page; give what it answers meanwhile."""
    return _to_page(_operator_page(), data, patience)


def _to_page(server: WebServer, data: bytes, patience: float) -> bytes:
    """Send bytes to a page; it answers in HTTP or ends the connection, and logs no error."""
    port, found = _port(server), errors_logged()
    answer = _asked(port, data.replace(b"PORT", str(port).encode()), patience)
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:100]
    assert not answer.startswith(b"HTTP/1.1 500"), answer[:100]
    assert not found, found[0]
    return answer


def device_page_inputs() -> list[bytes]:
    """Make requests to a device's page, also of a browser that was let in."""
    entering, known = _let_in(_device_page())
    return [
        entering,
        b"GET /page.css HTTP/1.1\r\nHost: [::1]:PORT\r\n\r\n",
        b"GET http://[x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /sound/1.wav HTTP/1.1\r\n" + known + b"\r\nConnection: close\r\n\r\n",
        _order(known, b"correct", b'{"id": 1, "label": "sad"}'),
        _order(known, b"discard", b'{"id": 1}'),
        _order(known, b"undo", b"{}"),
    ]


def operator_page_inputs() -> list[bytes]:
    """Make requests to an aggregator's page, also of a browser that was let in."""
    entering, known = _let_in(_operator_page())
    return [
        entering,
        b"GET /metrics HTTP/1.1\r\nHost: localhost:PORT\r\nAuthorization: Bearer x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + known + b"\r\nConnection: close\r\n\r\n",
        _order(known, b"pause", b'{"paused": true}'),
        _order(known, b"rollback", b'{"round": 0}'),
        _order(known, b"invite", b'{"name": "attic", "again": false}'),
        _order(known, b"revoke", b'{"name": "attic"}'),
    ]


def _let_in(server: WebServer) -> tuple[bytes, bytes]:
    """Let a browser in; give its first request, and the headers that it has from then on."""
    port = _port(server)
    link = server.address.partition(f":{port}")[2].encode()
    entering = b"GET %s HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n" % link
    answer = _asked(port, entering.replace(b"PORT", str(port).encode()), PATIENCE)
    cookie = answer.partition(b"set-cookie: ")[2].partition(b"=")[2].partition(b";")[0]
    known = (
        b"Host: localhost:PORT\r\nOrigin: http://localhost:PORT\r\nCookie: chorus-PORT=" + cookie
    )
    return entering, known


def _order(known: bytes, name: bytes, body: bytes) -> bytes:
    head = b"POST /do/%s HTTP/1.1\r\n%s\r\nContent-Length: %d\r\n\r\n"
    return head % (name, known, len(body)) + body


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
        with socket.create_connection(("127.0.0.1", broker.port), PATIENCE) as honest:
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
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stranger:
        stranger.settimeout(patience)
        try:
            stranger.sendall(data)
            stranger.shutdown(socket.SHUT_WR)
            while piece := stranger.recv(65536):
                found += piece
        except (TimeoutError, ConnectionError):
            pass
    return found
