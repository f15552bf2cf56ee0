"""The connection, against a real Mosquitto and through a proxy that fails."""

import logging
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection
from shared.mqtt.outbox import OUT_BYTES
from tests.brokers import BOUND, Mosquitto, free_port, wait_until
from tests.peers import Peers
from tests.proxy import proxy_to

PUBACK = 4
"""The type of the packet that acknowledges a message."""

UNSPOKEN = 1
"""What a broker that has MQTT 3.1.1 only answers to who speaks another version."""


def impatient(port: int, keepalive: int) -> BrokerSettings:
    """Settings with a keep-alive that is shorter than users may have it, for short tests."""
    return BrokerSettings.model_construct(port=port, keepalive=keepalive)


def test_messages_arrive_and_retained_ones_wait(mosquitto: Mosquitto, peers: Peers) -> None:
    sender = peers.connect(mosquitto.settings, "sender").ready()
    assert sender.connection.publish("a/kept", b"1", retain=True)
    receiver = peers.connect(mosquitto.settings, "receiver", "a/#").ready()
    receiver.wait_for(1)
    assert sender.connection.publish("a/b", b"2", qos=0)
    receiver.wait_for(2)
    assert receiver.messages == [("a/kept", b"1"), ("a/b", b"2")]


def test_nothing_is_received_before_it_is_said_to_be_connected(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    sender = peers.connect(mosquitto.settings, "sender").ready()
    for number in range(50):
        assert sender.connection.publish(f"a/{number}", b"kept", retain=True)
    told: list[str] = []
    receiver = Connection(
        mosquitto.settings,
        "receiver",
        subscriptions=["a/#"],
        on_message=lambda *_: told.append("message" if receiver.connected else "too early"),
        on_change=lambda connected, _: told.append(str(connected)),
    )
    sender.connection.close()
    receiver.start()
    wait_until(lambda: len(told) == 51, "all is received")
    receiver.close()
    assert told == ["True", *["message"] * 50]


def test_a_message_that_cannot_be_handled_ends_nothing(
    mosquitto: Mosquitto, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    handled = []

    def handle(topic: str, payload: bytes) -> None:
        if payload == b"bad":
            raise ValueError("no such thing")
        handled.append(topic)

    peers.connect(mosquitto.settings, "receiver", "a/#", on_message=handle).ready()
    sender = peers.connect(mosquitto.settings, "sender").ready()
    sender.connection.publish("a/first", b"bad")
    sender.connection.publish("a/second", b"good")
    wait_until(lambda: handled == ["a/second"], "the second is handled")
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "a/first" in record.getMessage()


def test_two_of_one_name_and_of_two_identifiers_stay_connected(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    first = peers.connect(mosquitto.settings, "anna", "a", identifier="one_anna").ready()
    second = peers.connect(mosquitto.settings, "anna", "a", identifier="two_anna").ready()
    assert second.connection.publish("a", b"to both")
    first.wait_for(1)
    second.wait_for(1)
    assert first.connection.connected


def test_subscriptions_outlive_a_broker_that_is_killed(mosquitto: Mosquitto, peers: Peers) -> None:
    sender = peers.connect(mosquitto.settings, "sender").ready()
    receiver = peers.connect(mosquitto.settings, "receiver", "a", "b").ready()
    receiver.connection.subscribe("c")
    receiver.connection.unsubscribe("b")
    mosquitto.kill()
    wait_until(lambda: not sender.connection.connected, "the loss is seen")
    assert not sender.connection.publish("a", b"nobody hears")
    assert "was lost" in receiver.wait_for_change("was lost")
    mosquitto.start()
    sender.ready()
    receiver.ready()
    for topic in "abc":
        assert sender.connection.publish(topic, b"back")
    receiver.wait_for(2)
    assert receiver.messages == [("a", b"back"), ("c", b"back")]


def test_retained_messages_outlive_a_broker_that_is_stopped(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    sender = peers.connect(mosquitto.settings, "sender").ready()
    sender.connection.publish("kept", b"1", retain=True)
    sender.connection.close()
    mosquitto.stop()
    mosquitto.start()
    peers.connect(mosquitto.settings, "receiver", "kept").wait_for(1)


def test_the_will_is_published_when_the_line_is_cut_and_not_after_close(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    watcher = peers.connect(mosquitto.settings, "watcher", "gone/+").ready()
    with proxy_to(mosquitto.port) as proxy:
        through = BrokerSettings(port=proxy.port)
        polite = peers.connect(through, "polite", will=("gone/polite", b"")).ready()
        polite.connection.close()
        peers.connect(through, "cut", will=("gone/cut", b"offline")).ready()
        proxy.cut()
        watcher.wait_for(1)
    assert watcher.messages == [("gone/cut", b"offline")]


def test_a_silent_network_is_noticed_and_waiting_senders_are_let_go(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    with proxy_to(mosquitto.port) as proxy:
        sender = peers.connect(impatient(proxy.port, 1), "sender").ready()
        proxy.drop()
        sent = []

        def send() -> None:
            while sender.connection.publish("a", bytes(1 << 16)):
                sent.append(1 << 16)

        thread = threading.Thread(target=send)
        thread.start()
        thread.join(BOUND)
        assert not thread.is_alive()
        assert sum(sent) <= OUT_BYTES
        proxy.heal()
        sender.ready()


def test_a_broker_that_acknowledges_no_more_is_left_and_come_back_to(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    def none_of_them(stream: Iterable[bytes]) -> Iterator[bytes]:
        return (packet for packet in stream if packet[0] >> 4 != PUBACK)

    watcher = peers.connect(mosquitto.settings, "watcher", "gone").ready()
    with proxy_to(mosquitto.port) as proxy:
        proxy.fates[1] = none_of_them
        through = BrokerSettings(port=proxy.port)
        sender = peers.connect(through, "sender", will=("gone", b"lost"), patience=0.2).ready()
        assert sender.connection.publish("a", b"owed")
        proxy.fates[1] = None
        assert "acknowledges no more" in sender.wait_for_change("acknowledges")
        watcher.wait_for(1)
        sender.ready()
        assert sender.connection.publish("a", b"again")
        wait_until(lambda: not sender.connection.busy, "it is acknowledged")


def test_callbacks_never_wait_and_have_room_for_answers(mosquitto: Mosquitto, peers: Peers) -> None:
    answers: list[bool] = []

    def answer(_: str, __: bytes) -> None:
        while connection.publish("answer", bytes(1 << 20)):
            answers.append(True)
        answers.append(False)

    peer = peers.connect(mosquitto.settings, "peer", "question", on_message=answer).ready()
    connection = peer.connection
    assert connection.publish("question", b"")
    wait_until(lambda: answers and not answers[-1], "it was refused once")
    assert OUT_BYTES >> 20 <= len(answers) <= (OUT_BYTES >> 20) * 2
    wait_until(lambda: connection.publish("other", b""), "there is room again")


def test_closing_loses_nothing_that_was_published(mosquitto: Mosquitto, peers: Peers) -> None:
    receiver = peers.connect(mosquitto.settings, "receiver", "a").ready()
    with proxy_to(mosquitto.port) as proxy:
        sender = peers.connect(BrokerSettings(port=proxy.port), "sender").ready()
        proxy.delay(0.02)
        for number in range(40):
            assert sender.connection.publish("a", bytes([number]) * 60_000)
        sender.connection.close()
    receiver.wait_for(40)
    assert [payload[0] for _, payload in receiver.messages] == list(range(40))


def test_a_large_transfer_passes_both_ways_whole_and_in_order(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    # 104 MB each: a dense model goes down while an update comes up.
    count = 1664
    received = {"up": 0, "down": 0}
    # The broker drops what a receiver is more than a thousand messages behind with.
    windows = {topic: threading.Semaphore(500) for topic in received}
    gaps, under_way = [], []

    def take(topic: str, payload: bytes) -> None:
        gaps.append(int.from_bytes(payload[:4]) != received[topic])
        received[topic] += 1
        windows[topic].release()

    device = peers.connect(mosquitto.settings, "device", "down", on_message=take).ready()
    server = peers.connect(mosquitto.settings, "server", "up", on_message=take).ready()

    def send(connection: Connection, topic: str) -> None:
        for number in range(count):
            assert windows[topic].acquire(timeout=BOUND)
            assert connection.publish(topic, number.to_bytes(4) + bytes((1 << 16) - 4))
            under_way.append(connection._outbox.under_way)

    threads = [
        threading.Thread(target=send, args=(device.connection, "up")),
        threading.Thread(target=send, args=(server.connection, "down")),
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: received == {"up": count, "down": count}, "all has arrived")
    for thread in threads:
        thread.join()
    assert not any(gaps)
    assert max(under_way) <= OUT_BYTES
    wait_until(lambda: device.connection._outbox.under_way == 0, "nothing is under way")


@pytest.mark.parametrize("upwards", [True, False])
def test_the_keep_alive_lives_while_a_slow_line_is_full(
    mosquitto: Mosquitto, peers: Peers, *, upwards: bool
) -> None:
    # The line is never empty, and what waits in it takes a small part of a keep-alive to pass.
    keepalive, window = 3, 4
    with proxy_to(mosquitto.port) as proxy:
        device = peers.connect(impatient(proxy.port, keepalive), "device", "down").ready()
        server = peers.connect(mosquitto.settings, "server", "up").ready()
        sender, receiver = (device, server) if upwards else (server, device)
        topic = "up" if upwards else "down"
        proxy.delay(0.02)
        end = time.monotonic() + 2.5 * keepalive
        sent = 0
        while time.monotonic() < end:
            assert sender.connection.publish(topic, bytes(1 << 16), qos=0)
            sent += 1
            receiver.wait_for(sent - window)
        receiver.wait_for(sent)
        assert [connected for connected, _ in device.changes] == [True]


def test_a_transfer_that_is_cut_goes_on_when_the_line_is_back(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    receiver = peers.connect(mosquitto.settings, "receiver", "up").ready()
    with proxy_to(mosquitto.port) as proxy:
        sender = peers.connect(BrokerSettings(port=proxy.port), "sender").ready()
        proxy.cut_after(1 << 20)
        sent = 0
        while sender.connection.publish("up", bytes(1 << 16)):
            sent += 1
        assert proxy.is_cut
        # What was under way is lost, and nothing is sent again of itself.
        sender.wait_for_change("was lost")
        proxy.heal()
        sender.ready()
        assert sender.connection.publish("up", b"again")
        wait_until(lambda: receiver.messages[-1:] == [("up", b"again")], "it is back")
        assert len(receiver.messages) - 1 <= 16, "a mebibyte went through"
        # The one that was being handed over when the line was cut may count as not sent.
        assert sent >= 15


def test_reconnecting_leaves_nothing_open(peers: Peers) -> None:
    peer = peers.connect(BrokerSettings(port=free_port()), "alone")
    attempts: list[float] = []
    wait = peer.connection._backoff.next
    peer.connection._backoff.next = lambda: attempts.append(wait()) or 0.0  # type: ignore[func-returns-value, method-assign] # counts
    wait_until(lambda: len(attempts) > 20, "twenty attempts")
    before = len(list(Path("/proc/self/fd").iterdir()))
    wait_until(lambda: len(attempts) > 200, "many attempts")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5


def test_a_broker_that_is_away_at_the_start_is_waited_for(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    mosquitto.kill()
    peer = peers.connect(mosquitto.settings, "early")
    said = peer.wait_for_change("No broker listens")
    assert f"127.0.0.1:{mosquitto.port}" in said
    assert "--embedded-broker" in said
    mosquitto.start()
    peer.ready()
    assert [connected for connected, _ in peer.changes] == [False, True]


def test_close_ends_waiting_for_a_broker(peers: Peers) -> None:
    peer = peers.connect(BrokerSettings(port=free_port()), "alone")
    peer.wait_for_change("No broker listens")
    peer.connection.close()
    assert not peer.connection._thread.is_alive()


def test_a_name_that_is_not_known(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)
    peer = peers.connect(BrokerSettings(host="broker.invalid"), "device")
    assert "broker.invalid is not known" in peer.wait_for_change("not known")
    assert peer.connection.refused is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "ended the connection without an answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ended the connection without an answer"),
        (b"\x20\x02\x00\x03", "takes no clients now: server unavailable"),
        (b"\x20\x02\x00", "ended the connection without an answer"),
        (b"\x20\x00", "ended the connection without an answer"),
    ],
)
def test_something_else_at_the_brokers_port(peers: Peers, answer: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.recv(1000)
                    link.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        peer = peers.connect(BrokerSettings(port=server.getsockname()[1]), "device")
        peer.wait_for_change(said)
        assert peer.connection.refused is None
        peer.connection.close()
        server.shutdown(socket.SHUT_RDWR)


def test_a_wrong_code_is_final_only_before_the_first_success(peers: Peers) -> None:
    # A broker that lets in, sends away, and then does not know the client any more.
    codes = [0, 5, 5, 0]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while codes:
                link, _ = server.accept()
                with link:
                    speaks_5 = link.recv(1000)[8] == 5
                    link.sendall(bytes([0x20, 2, 0, UNSPOKEN if speaks_5 else codes.pop(0)]))

        threading.Thread(target=serve, daemon=True).start()
        peer = peers.connect(BrokerSettings(port=server.getsockname()[1]), "device")
        wait_until(lambda: [c for c, _ in peer.changes].count(True) == 2, "it is in again")
        assert "refuses anonymous clients" in peer.wait_for_change("anonymous")


def test_only_who_is_thrown_out_again_and_again_is_told_of_a_second_one(
    mosquitto: Mosquitto, peers: Peers
) -> None:
    first = peers.connect(mosquitto.settings, "anna", "a").ready()
    mosquitto.kill()
    sentence = first.wait_for_change("was lost")
    assert "second client" not in sentence, "the broker has ended"
    first.wait_for_change("No broker listens")
    mosquitto.start()
    first.ready()
    peers.connect(mosquitto.settings, "anna", "a").ready()
    assert "a second client is called anna" in first.wait_for_change("second client")
