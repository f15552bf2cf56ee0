"""What a server may do over websockets, and what it costs."""

import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue

import pytest
from wsproto.frame_protocol import Opcode

from aggregator.broker.certificate import kept_certificate
from shared.mqtt.bounded_client import LARGEST_PACKET
from shared.mqtt.troubles import NoWebsocketError
from shared.mqtt.websocket import Websocket
from tests.aggregator.broker.wire import publish
from tests.brokers import peak_memory, wait_until
from tests.peers import Peers
from tests.shared.mqtt.web_server import (
    answer,
    frame_head,
    frame_of,
    greeted,
    hear,
    subscribed,
    web_server,
)

PIECE = publish("a/b", bytes(1 << 16))


def test_a_frame_without_end_costs_no_memory(peers: Peers) -> None:
    def serve(client: socket.socket) -> None:
        subscribed(client)
        client.sendall(frame_head(1 << 62))
        for _ in range((200 << 20) // len(PIECE)):
            client.sendall(PIECE)
        client.sendall(publish("a/end", b""))
        hear(client)

    heard, sizes = threading.Event(), set[int]()

    def on_message(topic: str, payload: bytes) -> None:
        sizes.add(len(payload))
        if topic == "a/end":
            heard.set()

    before = peak_memory(os.getpid())
    with web_server(serve) as settings:
        peer = peers.connect(settings, "anna", "a/#", on_message=on_message)
        assert heard.wait(60), peer.changes
    assert sizes == {1 << 16, 0}
    assert peak_memory(os.getpid()) < before + 2 * LARGEST_PACKET


def test_a_packet_beyond_all_bounds_ends_the_connection_at_its_head(peers: Peers) -> None:
    def serve(client: socket.socket) -> None:
        subscribed(client)
        head = b"\x30" + b"\xff\xff\xff\x7f"
        client.sendall(frame_of(head + bytes(1 << 20), last=False))
        while True:
            client.sendall(frame_of(bytes(1 << 20), Opcode.CONTINUATION, last=False))

    before = peak_memory(os.getpid())
    with web_server(serve) as settings:
        peers.connect(settings, "anna", "a/#").wait_for_change("sends more at once")
    assert peak_memory(os.getpid()) < before + 2 * LARGEST_PACKET


def test_pings_are_answered_and_frames_may_come_in_pieces(peers: Peers) -> None:
    heard: list[tuple[int, bytes]] = []

    def serve(client: socket.socket) -> None:
        subscribed(client)
        packets = publish("a/1", b"one") + publish("a/2", b"two")
        pieces = (
            frame_of(packets[:5], last=False),
            frame_of(b"are you there", Opcode.PING),
            frame_of(b"", Opcode.CONTINUATION, last=False),
            frame_of(b"", Opcode.PONG),
            frame_of(packets[5:], Opcode.CONTINUATION),
        )
        for byte in b"".join(pieces):
            client.sendall(bytes([byte]))
        heard.append(hear(client))
        client.sendall(frame_of(publish("a/3", b"")) + frame_of(b"", Opcode.CLOSE))
        heard.append(hear(client))

    with web_server(serve) as settings:
        peer = peers.connect(settings, "anna", "a/#")
        peer.wait_for(3)
        assert peer.messages[:3] == [("a/1", b"one"), ("a/2", b"two"), ("a/3", b"")]
        assert heard[0] == (Opcode.PONG, b"are you there")
        peer.wait_for_change("was lost")
        wait_until(lambda: (Opcode.CLOSE, b"") in heard, "the server hears that it is closed")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(frame_head(1, 1), id="text"),
        pytest.param(frame_head(1, 11), id="unknown"),
        pytest.param(frame_head(126, Opcode.PING), id="long ping"),
        pytest.param(frame_head(1, Opcode.CONTINUATION), id="continues nothing"),
        pytest.param(b"\x82\x81", id="masked"),
        pytest.param(b"\xf2\x01", id="reserved bits"),
    ],
)
def test_what_is_no_frame_ends_the_connection(head: bytes, peers: Peers) -> None:
    def serve(client: socket.socket) -> None:
        subscribed(client)
        client.sendall(head + bytes(200))
        hear(client)

    with web_server(serve) as settings:
        peers.connect(settings, "anna", "a/#").wait_for_change("was lost")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda _: b"HTTP/1.1 200 OK\r\n\r\n", id="a page"),
        pytest.param(lambda _: b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="another protocol"),
        pytest.param(lambda _: b"sec-websocket-accept\r\n\r\n", id="half a line"),
        pytest.param(lambda _: b"\xff\xfe\0\r\n\r\n", id="no text"),
        pytest.param(lambda _: answer(b"another key"), id="another key"),
        pytest.param(lambda key: answer(key).replace(b"101", b"503"), id="another status"),
        pytest.param(lambda _: b"x: y\r\n" * 100_000, id="no end"),
    ],
)
def test_an_answer_that_is_none_is_one_sentence(
    said: Callable[[bytes], bytes], peers: Peers
) -> None:
    def serve(client: socket.socket) -> None:
        client.sendall(said(greeted(client)))

    with web_server(serve) as settings:
        peer = peers.connect(settings, "anna", "a/#")
        peer.wait_for_change("does not speak MQTT over websockets")


def test_an_answer_that_drips_is_waited_for_no_longer_than_one_that_does_not_come() -> None:
    def serve(client: socket.socket) -> None:
        greeted(client)
        while True:
            client.sendall(b"x")
            ended.wait(0.01)

    ended = threading.Event()
    with web_server(serve) as settings, socket.create_connection(settings.address) as line:
        with pytest.raises(TimeoutError):
            Websocket(line, "localhost", "/mqtt", timeout=0.2)
        ended.set()


@contextmanager
def opened(
    said: bytes, certificate: Path | None = None
) -> Iterator[tuple[Websocket, socket.socket]]:
    """Give a websocket on which a server has said all this at once, and the server's end."""
    near, far = socket.socketpair()
    served = Queue[socket.socket]()

    def serve() -> None:
        line = far
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            line = context.wrap_socket(far, server_side=True)
        line.sendall(answer(greeted(line)) + said)
        served.put(line)

    threading.Thread(target=serve, daemon=True).start()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(certificate)
        near = context.wrap_socket(near)
    websocket = Websocket(near, "localhost", "/mqtt", timeout=30)
    with near, served.get() as line:
        near.setblocking(False)
        yield websocket, line


@pytest.mark.parametrize("secured", [False, True])
def test_what_came_and_was_not_asked_for_is_seen_below(*, secured: bool, tmp_path: Path) -> None:
    certificate = tmp_path / "broker.pem" if secured else None
    if certificate:
        kept_certificate(certificate)
    said = frame_of(b"ab") + frame_of(b"?", Opcode.PING) + frame_of(b"c")
    come = bytearray()
    with opened(said + frame_of(b"", Opcode.CLOSE), certificate) as (websocket, server):
        while True:
            pending = secured and websocket.pending()
            assert pending or select.select([websocket], [], [], 0)[0], "paho would wait"
            with suppress(BlockingIOError, ssl.SSLWantReadError):
                data = websocket.recv(1)
                if not data:
                    break
                come += data
        assert come == b"abc"
        assert hear(server) == (Opcode.PONG, b"?")
        assert hear(server) == (Opcode.CLOSE, b"")


def test_a_close_is_the_end_whatever_comes_with_it() -> None:
    said = frame_of(b"half a packet") + frame_of(b"?", Opcode.PING) + frame_of(b"", Opcode.CLOSE)
    with opened(said + frame_of(b"more")) as (websocket, server):
        assert websocket.recv(100) == b""
        assert websocket.recv(100) == b""
        assert hear(server) == (Opcode.PONG, b"?")
        assert hear(server) == (Opcode.CLOSE, b"")


def test_data_that_comes_with_a_ping_is_given() -> None:
    said = frame_of(b"a", last=False) + frame_of(b"?", Opcode.PING)
    with opened(said + frame_of(b"b", Opcode.CONTINUATION)) as (websocket, server):
        assert websocket.recv(100) == b"ab"
        assert hear(server) == (Opcode.PONG, b"?")


def test_what_a_full_line_takes_in_part_is_sent_to_its_end() -> None:
    content = os.urandom(1 << 20)
    with opened(frame_of(b"?", Opcode.PING)) as (websocket, far):
        with pytest.raises(BlockingIOError):
            websocket.send(content)
        with pytest.raises(BlockingIOError):
            websocket.recv(1)  # the ping comes in the middle of it, and is not answered there
        come: list[tuple[int, bytes]] = []
        listening = threading.Thread(target=lambda: come.append(hear(far)))
        listening.start()
        sent = 0
        while not sent:
            with suppress(BlockingIOError):
                sent = websocket.send(content)
        listening.join()
        assert sent == len(content)
        assert come == [(Opcode.BINARY, content)]


def test_a_server_that_hangs_up_in_its_answer_does_not_speak_it() -> None:
    near, far = socket.socketpair()
    far.close()
    with near, pytest.raises((NoWebsocketError, BrokenPipeError)):
        Websocket(near, "localhost", "/mqtt", timeout=30)
