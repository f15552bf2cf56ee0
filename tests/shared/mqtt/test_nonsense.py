"""A broker that says what MQTT does not have: it costs a client a connection, and no traceback."""

import logging
import socket

import pytest

from aggregator.broker.packets import Kind, Message, encode
from tests.aggregator.broker.wire import publish
from tests.brokers import wait_until
from tests.peers import Peers
from tests.shared.mqtt.web_server import CONNECTED, SUBSCRIBED, server


@pytest.mark.parametrize("answers", [(), (CONNECTED,)])
def test_a_broker_that_lets_in_and_never_says_so_is_given_up(
    answers: tuple[bytes, ...], peers: Peers
) -> None:
    def serve(client: socket.socket) -> None:
        if b"MQTT\5" in client.recv(4096):
            return  # it comes again with 3.1.1
        client.sendall(b"".join(answers))
        while heard := client.recv(4096):
            if heard == encode(Kind.PINGREQ):
                client.sendall(encode(Kind.PINGRESP))

    with server(serve) as settings:
        peers.connect(settings, "anna", "a/#", patience=0.5).wait_for_change("acknowledges no more")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(publish("a/b", b"x").replace(b"a/b", b"a/\xff"), id="topic that is not text"),
        pytest.param(encode(Kind.PUBLISH, b"\xff\xffa"), id="topic longer than its packet"),
        pytest.param(encode(Kind.PUBLISH, b""), id="no topic"),
        pytest.param(encode(Kind.SUBACK, b""), id="empty acknowledgement"),
        pytest.param(encode(Kind.PUBACK, b"\xff\xff"), id="of what was not sent"),
        pytest.param(b"\0\2\0\0", id="no kind"),
        pytest.param(b"\x30\xff\xff\xff\xff\x7f", id="length without end"),
    ],
)
def test_it_goes_on_with_a_broker_that_is_well_again(
    said: bytes, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    came = 0

    def serve(client: socket.socket) -> None:
        nonlocal came
        if b"MQTT\5" in client.recv(4096):
            return  # it comes again with 3.1.1
        came += 1
        client.sendall(CONNECTED + SUBSCRIBED)
        if came % 2:
            client.sendall(said)
            return
        client.sendall(Message("a/well", b"", 0, retain=False).encode(0, 0, retain=False))
        client.recv(4096)
        client.recv(4096)

    caplog.set_level(logging.INFO)
    with server(serve) as settings:
        peer = peers.connect(settings, "anna", "a/#")
        wait_until(lambda: ("a/well", b"") in peer.messages, "it hears of what is well")
    assert not [record for record in caplog.records if record.exc_info], "a traceback"
    assert all(topic == "a/well" for topic, _ in peer.messages)
