"""What strangers at the embedded broker can cost: a bounded amount, and nobody's place."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from aggregator.broker import bounds
from aggregator.broker.bounds import CONNECT_SECONDS, STUCK_SECONDS
from aggregator.broker.broker import Broker, Session
from aggregator.broker.embedded import EmbeddedBroker
from aggregator.broker.packets import MOST_FILTERS, Kind, Message, encode
from aggregator.broker.retained import MOST, OVERHEAD, Retained
from shared.mqtt.broker_settings import BrokerSettings
from tests.aggregator.broker.wire import Raw, connect, publish, subscribe
from tests.brokers import peak_memory, wait_until
from tests.clock import Clock
from tests.peers import Peers

pytestmark = pytest.mark.usefixtures("many_files")

CHUNK = bytes(1 << 16)


@pytest.fixture
def cost(embedded_broker: EmbeddedBroker) -> Iterator[Callable[[], int]]:
    """Measure the bytes of memory that the broker takes more than at first."""
    with Raw(embedded_broker.port, "first") as first:
        first.say(publish("t", b"x"))
    process = embedded_broker._process
    assert process
    before = peak_memory(process.pid)
    yield lambda: peak_memory(process.pid) - before
    assert process.poll() is None


def test_idle_connections_keep_nobody_out(embedded_broker: EmbeddedBroker) -> None:
    with ExitStack() as stack:
        for _ in range(1500):
            stack.enter_context(Raw(embedded_broker.port))
        for number in range(20):
            stack.enter_context(Raw(embedded_broker.port, f"client-{number}")).say()


def test_as_many_clients_as_there_are_places(embedded_broker: EmbeddedBroker) -> None:
    with ExitStack() as stack:
        for number in range(bounds.MOST_SESSIONS):
            stack.enter_context(Raw(embedded_broker.port, f"client-{number}"))
        one_more = stack.enter_context(Raw(embedded_broker.port))
        one_more.socket.sendall(connect("one-more"))
        assert one_more.socket.recv(8) == encode(Kind.CONNACK, b"\0\3")
        assert one_more.is_cut_off()
        # Who comes back has its place.
        stack.enter_context(Raw(embedded_broker.port, "client-7")).say()


@pytest.mark.parametrize(("heard", "most"), [(False, 10e6), (True, 60e6)])
def test_what_is_published_costs_no_memory(
    embedded_broker: EmbeddedBroker, cost: Callable[[], int], *, heard: bool, most: float
) -> None:
    with Raw(embedded_broker.port, "deaf") as deaf, Raw(embedded_broker.port, "loud") as loud:
        if heard:  # by somebody who reads nothing
            deaf.say(subscribe("t"))
        for _ in range(200):
            loud.say(*[publish("t", CHUNK)] * 16)  # 200 MB
    assert cost() < most


def test_a_large_packet_ends_its_connection_before_it_has_come(
    embedded_broker: EmbeddedBroker, cost: Callable[[], int]
) -> None:
    with Raw(embedded_broker.port, "loud") as loud:
        loud.socket.sendall(publish("t", bytes(200_000_000))[:100])
        assert loud.is_cut_off()
    with Raw(embedded_broker.port) as stranger:
        stranger.socket.sendall(connect("x", will=("t", bytes(60_000))))
        assert stranger.is_cut_off()
    assert cost() < 5e6


def test_packets_that_do_not_end_cost_no_more_than_all_may_hold(
    embedded_broker: EmbeddedBroker, cost: Callable[[], int]
) -> None:
    begun = publish("t", bytes(1 << 20))[:-1]
    with ExitStack() as stack:
        for number in range(300):  # 300 MB
            link = stack.enter_context(Raw(embedded_broker.port, f"slow-{number}"))
            with suppress(ConnectionError):
                link.socket.sendall(begun)
        with Raw(embedded_broker.port, "honest") as honest:
            honest.say()
    assert cost() < 1.5 * bounds.MOST_HELD


def test_what_is_kept_is_bounded_and_nobody_loses_it_to_another(
    embedded_broker: EmbeddedBroker, peers: Peers, cost: Callable[[], int]
) -> None:
    settings = BrokerSettings(port=embedded_broker.port)
    honest = peers.connect(settings, "honest").ready()
    assert honest.connection.publish("presence", b"here", retain=True)
    wait_until(lambda: not honest.connection.busy, "it is kept")
    with Raw(embedded_broker.port, "loud") as loud:
        for number in range(100):
            loud.say(publish(f"large/{number}", bytes(1 << 20), retain=True))
        for begin in range(0, 70_000, 1000):
            loud.say(*(publish(f"s/{n}", b"x", retain=True) for n in range(begin, begin + 1000)))
    assert cost() < 60e6
    late = peers.connect(settings, "late", "presence").ready()
    late.wait_for(1)
    assert late.messages == [("presence", b"here")]


def test_the_oldest_of_who_keeps_most_makes_way() -> None:
    retained = Retained()
    retained.put(Message("small", b"x", 1, retain=True), "honest")
    large = MOST // 4 - OVERHEAD - 8
    for number in range(4):
        retained.put(Message(f"large/{number}", bytes(large), 1, retain=True), "loud")
    assert {each.topic for each in retained} == {"small", "large/1", "large/2", "large/3"}
    assert retained.size <= MOST
    assert retained.get("large/0") is None
    for message in list(retained):
        retained.put(Message(message.topic, b"", 1, retain=True), "anybody")
    assert (retained.size, list(retained)) == (0, [])


class Line(asyncio.Transport):
    """Takes what is written as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.waiting = 0
        self.ended: str = ""

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return bool(self.ended)

    def abort(self) -> None:
        self.ended = "abort"

    def close(self) -> None:
        self.ended = "close"


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def broker(clock: Clock) -> Broker:
    """Make a broker without a network."""
    return Broker(1 << 20, clock)


def session(broker: Broker, *packets: bytes) -> tuple[Session, Line]:
    """Make a session that has said this, and give its line."""
    made, line = Session(broker), Line()
    made.connection_made(line)
    made.data_received(b"".join(packets))
    line.waiting = 0
    return made, line


def test_nothing_is_written_to_a_line_that_broke(broker: Broker) -> None:
    hears, line = session(broker, connect("hears", will=("gone", b"will")), subscribe("t"))
    _, watcher = session(broker, connect("watcher"), subscribe("gone"))
    writer, _ = session(broker, connect("writer"))
    count = len(line.written)
    line.ended = "by the network"
    for _ in range(3):
        writer.data_received(publish("t", b"x"))
    assert len(line.written) == count
    assert hears not in broker.sessions.values()
    assert watcher.written[-1] == publish("gone", b"will")


def test_who_says_nothing_is_cut_off_in_time(broker: Broker, clock: Clock) -> None:
    silent, line = session(broker)
    clock.now += CONNECT_SECONDS - 1
    silent.look()
    assert broker.strangers
    clock.now += 2
    silent.look()
    assert line.ended == "abort"
    assert not broker.strangers


def test_a_client_is_lost_after_its_keepalive_and_others_hear_its_will(
    broker: Broker, clock: Clock
) -> None:
    _, watcher = session(broker, connect("watcher"), subscribe("gone"))
    lost, line = session(broker, connect("lost", 20, will=("gone", b"will")))
    clock.now += 29
    lost.look()
    assert "lost" in broker.sessions
    lost.data_received(encode(Kind.PINGREQ))
    line.waiting = 0
    clock.now += 29
    lost.look()
    assert "lost" in broker.sessions
    clock.now += 2
    lost.look()
    assert line.ended == "abort"
    assert watcher.written[-1] == publish("gone", b"will")
    assert list(broker.sessions) == ["watcher"]


def test_who_takes_nothing_is_cut_off_and_who_is_slow_is_not(broker: Broker, clock: Clock) -> None:
    (stuck, stuck_line), (slow, slow_line) = (
        session(broker, connect(name), subscribe("t")) for name in ("stuck", "slow")
    )
    writer, _ = session(broker, connect("writer"))
    writer.data_received(publish("t", CHUNK))
    for _ in range(4):
        slow_line.waiting -= 1
        for each in (stuck, slow):
            each.look()
        clock.now += STUCK_SECONDS / 2
    assert (stuck_line.ended, slow_line.ended) == ("abort", "")


def test_a_client_without_room_loses_chunks_but_never_a_message(broker: Broker) -> None:
    _, line = session(broker, connect("slow"), subscribe("t"))
    line.waiting = 40 << 20
    writer, _ = session(broker, connect("writer"))
    count = len(line.written)
    writer.data_received(publish("t", CHUNK))
    assert (len(line.written), line.ended) == (count, "")
    body = b"\0\1t\0\7" + CHUNK
    writer.data_received(encode(Kind.PUBLISH, body, flags=2))
    assert line.ended == "abort"


@pytest.mark.parametrize(
    "packets",
    [
        [connect("a"), connect("a")],
        [encode(Kind.PINGREQ)],
        [connect("a"), encode(Kind.CONNACK, b"\0\0")],
        [connect("a"), encode(Kind.PUBLISH, b"\0\1t\0\1x", flags=4)],
        [connect("a"), publish("a/+", b"x")],
        [connect("a"), publish("$SYS/x", b"x")],
        [connect("a"), subscribe("a/#/b")],
        [connect("a"), subscribe("a+")],
        [connect("a"), subscribe(*map(str, range(MOST_FILTERS + 1)))],
        [
            connect("a"),
            subscribe(*map(str, range(MOST_FILTERS))),
            subscribe(str(MOST_FILTERS)),
        ],
        [connect("a"), encode(Kind.SUBSCRIBE, b"\0\1", flags=2)],
        [connect("a"), encode(Kind.SUBSCRIBE, b"\0\1\0\1t\1")],
        [connect("a"), b"\xf0\0"],
        [connect("a"), b"\x30\xff\xff\xff\xff\x01"],
        [connect("x" * 257)],
    ],
)
def test_what_the_standard_forbids_ends_the_connection(
    broker: Broker, packets: list[bytes]
) -> None:
    _, line = session(broker, *packets)
    assert line.ended == "abort"
    assert not broker.sessions
    assert not broker.strangers
    assert broker.held == 0


def test_another_version_of_mqtt_is_refused_in_words(broker: Broker) -> None:
    _, line = session(broker, connect("a").replace(b"MQTT\4", b"MQTT\5"))
    assert line.written == [encode(Kind.CONNACK, b"\0\1")]
    assert line.ended == "close"


def test_a_second_connection_of_one_name_takes_the_place_of_the_first(broker: Broker) -> None:
    _, watcher = session(broker, connect("watcher"), subscribe("+"))
    _, first = session(broker, connect("one", will=("gone", b"will")))
    second, line = session(broker, connect("one"))
    assert (first.ended, line.ended) == ("abort", "")
    assert broker.sessions["one"] is second
    assert watcher.written[-1] == publish("gone", b"will")
    second.data_received(encode(Kind.DISCONNECT))
    assert "one" not in broker.sessions


def test_wills_of_many_that_are_cut_off_at_once_are_all_told(broker: Broker) -> None:
    _, watcher = session(broker, connect("watcher"), subscribe("gone/+"))
    lines = []
    for number in range(900):
        will = (f"gone/{number}", b"x")
        _, line = session(broker, connect(f"c-{number}", will=will), subscribe("t", "gone/+"))
        line.waiting = 40 << 20  # each message of a will cuts the next one off
        lines.append(line)
    writer, _ = session(broker, connect("writer"))
    writer.data_received(encode(Kind.PUBLISH, b"\0\1t\0\7x", flags=2))
    assert all(line.ended for line in lines)
    told = [each for each in watcher.written if b"gone/" in each]
    assert len(told) == 900


def test_many_clients_reach_the_bound_of_memory_together(broker: Broker) -> None:
    _, watcher = session(broker, connect("watcher"), subscribe("gone/+"))
    filled = []
    for number in range(900):
        will = (f"gone/{number}", bytes(4096))
        filled.append(session(broker, connect(f"c-{number}", will=will), subscribe("t", "gone/+")))
    each = (bounds.MOST_HELD - broker.held) // len(filled)
    for client, line in filled:
        line.waiting = each
        client.count()
        line.waiting -= 1  # a little goes out meanwhile
    writer, _ = session(broker, connect("writer"))
    writer.data_received(publish("t", bytes(1 << 20)))
    lost = [line for _, line in filled if line.ended]
    assert 0 < len(lost) < len(filled)
    assert broker.held <= bounds.MOST_HELD
    assert broker.held == sum(client.held for client in broker.sessions.values())
    told = [each for each in watcher.written if b"gone/" in each]
    assert len(told) == len(lost)


def test_a_will_that_could_not_be_told_keeps_no_other_from_being_told(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, watcher = session(broker, connect("watcher"), subscribe("gone/+"))
    lost, ended = (
        session(broker, connect(name, will=(f"gone/{name}", b"x")))[0] for name in ("lost", "ended")
    )

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", fail)
        with pytest.raises(MemoryError):
            lost.cut()
    ended.cut()
    assert watcher.written[-1] == publish("gone/ended", b"x")


def test_connections_that_come_and_go_leave_nothing(embedded_broker: EmbeddedBroker) -> None:
    assert embedded_broker._process
    files = Path(f"/proc/{embedded_broker._process.pid}/fd")
    with Raw(embedded_broker.port, "here") as here:
        here.say()
        before = len(list(files.iterdir()))
        for number in range(200):
            with socket.create_connection(("127.0.0.1", embedded_broker.port)) as link:
                link.sendall(connect(f"c-{number}"))
        wait_until(lambda: len(list(files.iterdir())) == before, "all are gone")
