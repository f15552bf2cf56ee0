"""The entrance of a federation by invitation: who is shut out is told of, who asks is answered."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.enrolment.entrance import Entrance
from aggregator.enrolment.invitations import revoke
from aggregator.enrolment.members import Members
from aggregator.enrolment.voice import Voice
from aggregator.ledger.folder import FederationFolder
from shared.errors import StorageError
from shared.protocol.topics import Topics
from shared.trust.keys import SecretKey
from tests.loop_driver import LoopDriver

TOPICS = Topics("chorus")


class Stands:
    """An entrance with a real list of members, which another process writes, too."""

    def __init__(self, folder: Path) -> None:
        place = FederationFolder(folder)
        self.members, self.other = Members(place.members), Members(place.members)
        for name in ("desk", "hall", "kitchen"):
            self.members.add(name, SecretKey.new().public)
        self.driver = LoopDriver()
        self.full = 0
        """How often the ledger's disk will still be full."""
        self.told: list[str] = []
        self.announced = 0
        self.said: list[str] = []
        self.entrance = Entrance(
            self.members,
            TOPICS,
            Voice(place),
            loop=self.driver.loop,
            reject=lambda _, sentence: self.said.append(sentence),
            answer=lambda _, answer: self.said.append(answer.sentence or "welcome"),
            tell_broker=lambda *_: None,
            announce=self._announce,
            gone=self._gone,
        )
        self.driver.after(1.0)

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
