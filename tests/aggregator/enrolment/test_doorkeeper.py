"""Whose messages are listened to: those of members, and none that is old."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.enrolment.doorkeeper import Doorkeeper
from aggregator.enrolment.invitations import revoke
from aggregator.enrolment.members import Members
from shared.protocol.messages import Presence
from shared.protocol.topics import Topics
from shared.trust.counter import Counter
from shared.trust.keys import SecretKey
from shared.trust.signing import signed
from tests.loop_driver import LoopDriver

TOPICS = Topics("chorus")
HERE, GONE = (Presence(state=state).encode() for state in ("online", "offline"))


class Door:
    """A doorkeeper, with one member, whose card can be copied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.members = Members(folder / "members.sqlite")
        self.key = SecretKey(bytes(32))
        self.members.add("kitchen", self.key.public)
        self.said: list[tuple[str, str]] = []
        self.start()

    def start(self) -> None:
        self.driver = LoopDriver()
        self.keeper = Doorkeeper(
            self.members, TOPICS, self.driver.loop, lambda *about: self.said.append(about)
        )

    def hears(self, number: int, message: bytes = HERE, kind: str = "presence") -> bool:
        payload = signed(self.key, TOPICS.of_client("kitchen", kind), message, number)
        return self.keeper.lets_pass("kitchen", kind, payload)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path)
    yield door
    door.members.close()


def test_what_a_member_has_signed_passes_and_what_is_old_does_not(it: Door) -> None:
    assert [it.hears(number) for number in (5, 5, 7, 6, 7)] == [True, True, True, False, True]
    assert it.hears(1, kind="requests"), "each topic has its own order"
    assert "older than its last message" in it.said[0][1]


def test_a_broker_may_say_at_any_time_that_a_device_is_gone(it: Door) -> None:
    assert it.hears(9)
    assert it.hears(3, GONE)
    assert it.hears(9), "the will of an earlier connection makes nothing older"
    assert it.hears(12, GONE)
    assert not it.hears(9), "after it has left by itself it is not there again"


def test_what_was_heard_is_remembered_by_the_next_process(it: Door) -> None:
    assert it.hears(9)
    it.driver.after(6.0)
    it.start()
    assert not it.hears(8)
    it.hears(10)
    it.keeper.close()
    it.start()
    assert not it.hears(9)


def test_strangers_and_the_revoked_are_told_apart_from_nobody(it: Door) -> None:
    assert not it.keeper.lets_pass("desk", "presence", HERE)
    assert not it.keeper.lets_pass("kitchen", "presence", HERE)
    revoke(it.members, "kitchen")
    assert it.hears(9), "until it looks"
    assert it.keeper.look() == {"kitchen"}
    assert not it.hears(10)
    assert [about for about, _ in it.said] == ["desk", "kitchen", "kitchen"]


def test_of_a_card_and_its_copy_that_one_is_heard_which_started_last(
    it: Door, tmp_path: Path
) -> None:
    now = iter((1e9, 1e9 + 60, 1e9 + 120))
    for name in ("card", "copy"):
        (tmp_path / name).mkdir()
    card = Counter(tmp_path / "card" / "counter", lambda: next(now))
    assert it.hears(card.next())
    (tmp_path / "copy" / "counter").write_text((tmp_path / "card" / "counter").read_text())
    copy = Counter(tmp_path / "copy" / "counter", lambda: next(now))
    assert it.hears(copy.next())
    assert not it.hears(card.next())
    assert "a copy of the device's card is in another device" in it.said[0][1]
    again = Counter(tmp_path / "card" / "counter", lambda: next(now))
    assert it.hears(again.next())
    assert not it.hears(copy.next())


def test_a_new_key_begins_anew(it: Door) -> None:
    assert it.hears(9)
    it.key = SecretKey(bytes([1] * 32))
    it.members.add("kitchen", it.key.public)
    assert not it.hears(10)
    assert it.keeper.look() == {"kitchen"}
    assert it.hears(1)
