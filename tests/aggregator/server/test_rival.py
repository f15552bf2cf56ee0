"""An aggregator that begins finds out whether there is another one."""

import logging

import pytest

from aggregator.server.rival import LEFT, ONCE_IN, PATIENCE, QUESTION, Rival
from shared.errors import FederationError
from tests.loop_driver import LoopDriver


class Beginning:
    """One that begins, and a broker that the test plays."""

    def __init__(self) -> None:
        self.driver = LoopDriver()
        self.said: list[tuple[bytes, bool]] = []
        self.begun: list[object] = []
        self.rival = Rival("chorus", self.driver.loop, self._say, self.begun.append)

    def _say(self, payload: bytes, *, retain: bool = False) -> None:
        self.said.append((payload, retain))

    def connect(self, kept: bytes = b"") -> None:
        """Connect to a broker that keeps an announcement, or none."""
        self.rival.connected()
        if kept:
            self.rival.announced(kept)
        self.rival.hear(QUESTION)
        self.driver.rest()


@pytest.fixture
def it() -> Beginning:
    return Beginning()


def test_where_nobody_has_announced_it_begins_at_once(it: Beginning) -> None:
    it.connect()
    assert it.begun == [{}]
    assert it.rival.serves


def test_where_somebody_has_it_waits_whether_that_one_comes_back(it: Beginning) -> None:
    it.connect(b"1")
    it.rival.hold("kitchen", b"early")
    it.driver.after(PATIENCE - 0.125)
    assert not it.rival.serves
    it.driver.after(0.25)
    assert it.begun == [{"kitchen": b"early"}]


def test_one_that_is_lost_and_finds_the_same_each_time_begins(it: Beginning) -> None:
    for _ in range(5):
        it.connect(b"1")
        it.rival.lost()
        it.driver.after(2 * PATIENCE)
    assert not it.begun
    it.connect(b"1")
    it.driver.after(PATIENCE)
    assert it.rival.serves


def test_one_that_finds_something_else_twice_gives_way_and_leaves_word(it: Beginning) -> None:
    it.connect(b"1")
    it.rival.announced(b"forged, while it is connected")
    it.rival.lost()
    it.connect(b"2")
    it.rival.lost()
    with pytest.raises(FederationError, match="Another aggregator serves the federation chorus"):
        it.connect(b"3")
    assert it.said[-1] == (LEFT, True)
    assert not it.begun


@pytest.mark.parametrize("kept", [b"", b"1"])
def test_the_word_is_read_once_and_said_by_the_one_that_it_is_for(
    it: Beginning, caplog: pytest.LogCaptureFixture, kept: bytes
) -> None:
    it.connect(kept)
    with caplog.at_level(logging.WARNING):
        it.rival.hear(LEFT)
    assert it.said[-1] == (b"", True)
    assert ("has given way to this one" in caplog.text) is (not kept)


def test_a_flood_of_such_words_is_said_once_a_minute(
    it: Beginning, caplog: pytest.LogCaptureFixture
) -> None:
    it.connect()
    for _ in range(1000):
        it.rival.hear(LEFT)
    assert caplog.text.count("has given way to this one") == 1
    assert it.said.count((b"", True)) == 1
    it.driver.after(ONCE_IN)
    it.rival.hear(LEFT)
    assert caplog.text.count("has given way to this one") == 2


def test_who_cannot_hear_itself_begins_all_the_same(it: Beginning) -> None:
    it.rival.connected()
    it.driver.after(PATIENCE)
    assert it.rival.serves
