"""Floods: what is listened to, and what is subscribed to afterwards."""

import logging
from collections.abc import Mapping

import pytest

from aggregator.broker.packets import MOST_FILTERS
from aggregator.server.flood_gate import (
    AT_ONCE,
    AT_THE_DOOR,
    BYTES_PER_SECOND,
    FLOOD,
    LASTS,
    MOST_KNOWN,
    PER_SECOND,
    QUALITY,
    SHUT,
    UNKNOWN,
    FloodGate,
)
from aggregator.server.rejections import Rejections
from shared.protocol.topics import Topics
from shared.round_settings import LONGEST_NAME
from tests.loop_driver import FakeConnection, LoopDriver

TOPICS = Topics("chorus")
EVERYBODY = [TOPICS.presence("+"), TOPICS.requests("+"), TOPICS.chunks("+")]


class Gate:
    """A gate with two honest clients, who have said that they are there."""

    def __init__(self, kinds: Mapping[str, int] = QUALITY) -> None:
        self.driver = LoopDriver()
        self.connection = FakeConnection("chorus-aggregator", subscriptions=EVERYBODY)
        self.connections = 0
        self.connection.on_change = self._change
        self.gate = FloodGate(
            TOPICS,
            self.driver.loop,
            Rejections(),
            self.connection,  # type: ignore[arg-type] # it stands in
            kinds=kinds,
        )
        for client in ("anna", "ben"):
            assert self.gate.lets_in(client, "presence")

    def _change(self, connected: bool, _: str) -> None:  # noqa: FBT001 -- Connection's call
        self.connections += connected

    def flood(self, client: str, kind: str) -> None:
        for _ in range(FLOOD + AT_ONCE):
            self.gate.lets_in(client, kind)
        self.driver.rest()

    @property
    def subscriptions(self) -> list[str]:
        return list(self.connection.subscriptions)


@pytest.fixture
def it() -> Gate:
    return Gate()


def test_an_honest_client_is_listened_to_for_ever(it: Gate) -> None:
    for _ in range(1000):
        assert it.gate.lets_in("anna", "requests")
        it.driver.now += 1 / PER_SECOND
    it.driver.rest()
    assert it.connections == 0


def test_who_asks_too_fast_is_left_aside_and_the_others_are_not(
    it: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    assert sum(it.gate.lets_in("mallory", "requests") for _ in range(AT_ONCE + 500)) == AT_ONCE
    assert it.gate.lets_in("anna", "requests")
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said == ["mallory: Its messages come too fast: some are left aside."]
    it.driver.rest()
    assert it.connections == 0


def test_who_says_much_is_left_aside_and_the_others_are_not(
    it: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    """Few messages, each of which takes long to read."""
    large = 1 << 20
    assert [it.gate.lets_in("mallory", "requests", large) for _ in range(3)] == [True, True, False]
    assert it.gate.lets_in("anna", "requests", large)
    assert "mallory: It says more than anybody has to say: some of it is left" in caplog.text
    it.driver.now += large / BYTES_PER_SECOND
    assert it.gate.lets_in("mallory", "requests", large)


def test_who_floods_the_door_is_not_subscribed_to_for_a_while() -> None:
    it = Gate({**QUALITY, **AT_THE_DOOR})
    it.flood("attic", "join")
    assert TOPICS.join("+") not in it.subscriptions
    assert set(EVERYBODY) < set(it.subscriptions), "members are listened to"
    it.driver.after(SHUT)
    assert TOPICS.join("+") in it.subscriptions


def test_who_floods_is_not_subscribed_to_for_a_while(
    it: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    it.flood("mallory", "requests")
    known = [TOPICS.requests("anna"), TOPICS.requests("ben")]
    assert it.subscriptions == [TOPICS.presence("+"), *known, TOPICS.chunks("+")]
    assert it.connections == 1, "what the broker may have dropped comes again"
    assert "than anybody needs, from mallory" in caplog.text
    it.driver.after(SHUT)
    assert it.subscriptions == EVERYBODY


def test_who_comes_meanwhile_is_listened_to(it: Gate) -> None:
    it.flood("mallory", "requests")
    assert it.gate.lets_in("cleo", "presence")
    assert TOPICS.requests("cleo") in it.subscriptions
    assert it.gate.lets_in("cleo", "presence")
    assert it.subscriptions.count(TOPICS.requests("cleo")) == 1


def test_one_kind_after_the_other_is_left_to_those_who_are_known(it: Gate) -> None:
    it.flood("mallory", "requests")
    for _ in range(FLOOD):
        it.gate.leave_aside("mallory", "chunks")
    it.driver.rest()
    assert it.subscriptions == [
        TOPICS.presence("+"),
        *[topic(name) for topic in (TOPICS.requests, TOPICS.chunks) for name in ("anna", "ben")],
    ]


def test_a_flood_of_nobody_in_particular_costs_a_connection_now_and_then(it: Gate) -> None:
    for _ in range(3):
        for number in range(3 * FLOOD):
            it.gate.leave_aside(f"mallory-{number}", "chunks")
        it.driver.rest()
    assert it.connections == 0
    it.driver.after(UNKNOWN)
    assert it.connections == 1
    assert it.subscriptions == EVERYBODY


def test_what_is_under_way_when_rounds_close_adds_up_to_no_flood(it: Gate) -> None:
    for _ in range(FLOOD):
        for _ in range(32):
            it.gate.leave_aside("anna", "chunks")
        it.driver.after(LASTS)
        it.driver.after(1)
    assert it.connections == 0
    it.flood("mallory", "chunks")
    assert it.connections == 1, "a flood is seen as before"
    assert TOPICS.chunks("anna") in it.subscriptions


def test_all_subscriptions_fit_into_one_packet_of_any_broker(it: Gate) -> None:
    """The own broker's filters of a session, and the 64 KiB that hosted brokers take."""
    names = [f"{number:03}{'x' * (LONGEST_NAME - 3)}" for number in range(2 * MOST_KNOWN)]
    for name in names:
        assert it.gate.lets_in(name, "presence")
    for kind in QUALITY:
        it.flood("mallory", kind)
    for_itself = [topic for topic in it.subscriptions if names[-1] in topic]
    assert len(for_itself) == len(QUALITY)
    assert not [topic for topic in it.subscriptions if names[0] in topic]
    assert len(it.subscriptions) <= MOST_FILTERS
    assert sum(len(topic) + 3 for topic in it.subscriptions) < 1 << 16
