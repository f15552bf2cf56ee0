"""What the broker passes on."""

import logging

import pytest

from aggregator.server.probe import Probe
from tests.loop_driver import LoopDriver

SIZE = 65_592
LONG = 20.0


class Probes:
    """A probe, and a broker that the test plays."""

    def __init__(self) -> None:
        self.driver = LoopDriver()
        self.sent: list[bytes] = []
        self.probe = Probe(self.driver.loop, SIZE, self.sent.append)

    def connect(self, *, most: int) -> None:
        """Connect to a broker that passes on messages of so many bytes."""
        self.sent.clear()
        self.probe.connected()
        for payload in self.sent:
            if len(payload) <= most:
                self.probe.arrived(payload)


@pytest.fixture
def it() -> Probes:
    return Probes()


def test_a_broker_that_passes_everything_on_is_not_spoken_of(
    it: Probes, caplog: pytest.LogCaptureFixture
) -> None:
    it.connect(most=SIZE)
    it.driver.after(LONG)
    assert caplog.records == []


def test_a_broker_that_drops_what_is_large_is(it: Probes, caplog: pytest.LogCaptureFixture) -> None:
    it.connect(most=SIZE - 1)
    it.driver.after(LONG)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "does not pass on messages of 65592 bytes" in record.getMessage()
    assert "--chunk" in record.getMessage()


def test_where_nothing_comes_back_nothing_is_known(
    it: Probes, caplog: pytest.LogCaptureFixture
) -> None:
    it.connect(most=0)
    it.driver.after(LONG)
    assert caplog.records == []


def test_a_broker_that_ends_the_connection_twice_over_it_is_spoken_of(
    it: Probes, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        it.connect(most=100)
        it.probe.lost()
    (record,) = caplog.records
    assert "ends the connection when it is sent a message of 65592 bytes" in record.getMessage()


def test_connections_that_are_lost_for_other_reasons_are_not_counted(
    it: Probes, caplog: pytest.LogCaptureFixture
) -> None:
    for most in (100, SIZE, 100, SIZE):
        it.connect(most=most)
        it.probe.lost()
    it.driver.after(LONG)
    assert caplog.records == []
