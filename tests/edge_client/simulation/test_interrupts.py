"""Ctrl-C that a library has swallowed."""

import signal
from contextlib import suppress
from pathlib import Path

import pytest

from edge_client.simulation.interrupts import heeding_interrupts
from edge_client.simulation.run import Stopped
from edge_client.simulation.run_folder import RoundRow
from tests.edge_client.simulation.test_run import Watcher, execute


class Swallowing(Watcher):
    """Presses Ctrl-C in the second round, and loses what Python makes of it."""

    def round(self, record: RoundRow) -> None:
        super().round(record)
        if record.round == 2:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_a_run_stops_though_the_exception_was_lost(tmp_path: Path) -> None:
    watcher = Swallowing()
    with pytest.raises(Stopped, match="Stopped after round 2"):
        execute(tmp_path, watcher)
    assert len(watcher.records) == 2


def test_it_is_raised_at_once_too() -> None:
    with heeding_interrupts() as heed:
        heed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            heed()


def test_what_others_have_arranged_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heeding_interrupts() as heed:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            heed()
    finally:
        signal.signal(signal.SIGINT, before)


def test_afterwards_all_is_as_it_was() -> None:
    with heeding_interrupts():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
