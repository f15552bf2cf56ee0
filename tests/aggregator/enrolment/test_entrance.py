"""The entrance of a federation by invitation: who is shut out is told of, who asks is answered."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.enrolment.entrance import NEWS, Entrance
from aggregator.enrolment.invitations import invite, revoke
from aggregator.enrolment.members import Members
from aggregator.enrolment.voice import Voice
from aggregator.ledger.folder import FederationFolder
from shared.errors import StorageError
from shared.protocol.topics import Topics
from shared.trust.keys import SecretKey
from tests.loop_driver import LoopDriver
from tests.memberships import request

TOPICS = Topics("chorus")


class Stands:
    """An entrance with a real list of members, which another process writes, too."""

    def __init__(self, folder: Path, *, plugin: bool = False) -> None:
        place = FederationFolder(folder)
        self.members, self.other = Members(place.members), Members(place.members)
        if plugin:
            self.members.note(accounts="plugin")
        for name in ("desk", "hall", "kitchen"):
            self.members.add(name, SecretKey.new().public)
        self.driver = LoopDriver()
        self.full = 0
        """How often the ledger's disk will still be full."""
        self.told: list[str] = []
        self.announced = 0
        self.said: list[str] = []
        self.broker_told: list[bytes] = []
        self.voice = Voice(place)
        self.entrance = Entrance(
            self.members,
            TOPICS,
            self.voice,
            loop=self.driver.loop,
            reject=lambda _, sentence: self.said.append(sentence),
            answer=lambda _, answer: self.said.append(answer.sentence or "welcome"),
            tell_broker=lambda _, payload: self.broker_told.append(payload),
            announce=self._announce,
            gone=self._gone,
        )
        self.driver.after(1.0)

    def hear_plugin(self, **response: object) -> None:
        """Let the broker's plugin answer."""
        assert self.entrance._plugin
        self.entrance._plugin.hear(json.dumps({"responses": [response]}).encode())

    def asks(self, payload: bytes, name: str = "attic") -> None:
        self.driver.do(lambda: self.entrance.lets_pass(name, "join", payload))

    def _announce(self) -> None:
        self.announced += 1

    def _gone(self, name: str) -> None:
        if self.full:
            self.full -= 1
            raise StorageError.full_disk("ledger.sqlite")
        self.told.append(name)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Stands]:
    stands = Stands(tmp_path)
    yield stands
    stands.entrance.close()
    stands.members.close()
    stands.other.close()


@pytest.fixture
def beside_plugin(tmp_path: Path) -> Iterator[Stands]:
    """Stand beside Mosquitto's plugin, which has the accounts of all members."""
    stands = Stands(tmp_path, plugin=True)
    stands.entrance.connected()
    users = [TOPICS.identifier(name) for name in ("desk", "hall", "kitchen")]
    stands.hear_plugin(command="listClients", data={"clients": users})
    yield stands
    stands.entrance.close()
    stands.members.close()
    stands.other.close()


def test_a_request_that_comes_twice_delays_no_announcement(beside_plugin: Stands) -> None:
    it = beside_plugin
    payload = request(
        invite(it.members, TOPICS, "attic", hours=1), SecretKey.new(), it.voice.key.public
    )
    it.asks(payload)
    it.asks(payload)
    assert it.said == []
    it.hear_plugin(command="createClient", correlationData=TOPICS.identifier("attic"))
    assert it.said == ["welcome"]
    assert it.announced == 1


def test_who_was_shut_out_loses_its_account_also_if_the_disk_was_full(
    beside_plugin: Stands,
) -> None:
    it = beside_plugin
    it.asks(
        request(invite(it.members, TOPICS, "attic", hours=1), SecretKey.new(), it.voice.key.public)
    )
    user = TOPICS.identifier("attic")
    it.hear_plugin(command="createClient", correlationData=user)
    it.broker_told.clear()
    it.full = 1
    revoke(it.other, "attic")
    it.driver.after(20.0)
    assert it.told == ["attic"]
    gone = [payload for payload in it.broker_told if b"deleteClient" in payload]
    assert any(user.encode() in payload for payload in gone)


@pytest.mark.parametrize("full", [0, 1, 3, 7])
def test_each_who_was_shut_out_is_told_of_once_whatever_the_disk(full: int, it: Stands) -> None:
    it.full = full
    for name in ("desk", "kitchen"):
        revoke(it.other, name)
    it.driver.after(2.0)
    assert len(it.told) == max(0, 2 - full)
    it.driver.after(60.0)
    assert sorted(it.told) == ["desk", "kitchen"]
    assert len(it.driver.full) == -(-full // 2), "a full disk is said, and tried again, at times"


def test_who_was_shut_out_while_nobody_served_is_told_of_whatever_the_disk(it: Stands) -> None:
    it.full = 1
    it.driver.do(lambda: it.entrance.begin({"attic", "cellar", "hall"}))
    assert it.told == ["cellar"]
    it.driver.after(11.0)
    assert it.told == ["cellar", "attic"]


def test_who_asks_again_is_answered_and_neither_writes_nor_stirs_the_others(it: Stands) -> None:
    key, known = SecretKey.new(), it.voice.key.public
    payload = request(invite(it.members, TOPICS, "attic", hours=1), key, known)
    it.other.changed()
    it.asks(payload)
    assert it.announced == 1
    assert it.other.changed()
    for _ in range(200):
        it.asks(payload)
    assert it.said == ["welcome"] * 201
    assert not it.other.changed(), "nothing is written"
    assert it.announced == 1
    it.driver.after(NEWS)
    assert it.announced == 2, "a device that did not hear its answer waits for news"
    it.driver.after(10 * NEWS)
    assert it.announced == 2
    # Another one that joins meanwhile is believed at once, and one that asks alone, too.
    it.asks(payload)
    it.driver.after(1.0)
    assert it.announced == 3
    second = invite(it.members, TOPICS, "cellar", hours=1)
    it.asks(request(second, SecretKey.new(), known), "cellar")
    assert it.announced == 4


def test_who_asks_again_with_something_else_is_let_in_no_more(it: Stands) -> None:
    invitation, key = invite(it.members, TOPICS, "attic", hours=1), SecretKey.new()
    it.asks(request(invitation, key, it.voice.key.public))
    it.other.changed()
    account = it.members.account(TOPICS.identifier("attic"))
    for other in (key, SecretKey.new()):
        it.asks(request(invitation, other, it.voice.key.public))
        assert it.said[-1].startswith("attic cannot join: the invitation was used already")
    assert it.members.account(TOPICS.identifier("attic")) == account
    assert not it.other.changed()
    assert it.announced == 1
