"""Whether announcements come back, and are kept."""

import logging

import pytest

from aggregator.server.echo import PATIENCE, Echo
from tests.loop_driver import LoopDriver

LONG = 2 * PATIENCE


class Broker:
    """An aggregator's announcements, and a broker that the test plays."""

    def __init__(self, *, passes_on: bool = True, keeps: bool = True) -> None:
        self.driver = LoopDriver()
        self.passes_on, self.keeps = passes_on, keeps
        self.asked = 0
        self.echo = Echo(self.driver.loop, self._ask, "chorus/chorus/round")

    def _ask(self) -> None:
        self.asked += 1
        if self.keeps:
            self.driver.loop.put(self.echo.arrived)

    def announce(self) -> None:
        self.echo.announced()
        if self.passes_on:
            self.driver.do(self.echo.arrived)


def test_a_broker_that_passes_on_and_keeps_is_not_spoken_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = Broker()
    for _ in range(3):
        it.announce()
        it.driver.after(LONG)
    assert caplog.records == []
    assert it.asked == 1


@pytest.mark.parametrize(
    ("passes_on", "words"),
    [
        (False, "access rules may not let the aggregator write to chorus/chorus/round"),
        (True, "keeps no messages for those who come later"),
    ],
)
def test_what_does_not_come_back_is_said_once(
    passes_on: object, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    it = Broker(passes_on=bool(passes_on), keeps=False)
    for _ in range(3):
        it.announce()
        it.announce()
        it.driver.after(LONG)
        it.echo.lost()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert words in record.getMessage()


def test_what_was_mended_and_is_broken_again_is_said_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = Broker(passes_on=False)
    for passes_on in (False, True, False):
        it.passes_on = passes_on
        it.announce()
        it.driver.after(LONG)
        it.echo.lost()
    assert len(caplog.records) == 2


def test_a_connection_that_does_not_last_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    it = Broker(passes_on=False)
    for _ in range(3):
        it.announce()
        it.driver.after(PATIENCE - 1)
        it.echo.lost()
    it.driver.after(LONG)
    assert caplog.records == []
