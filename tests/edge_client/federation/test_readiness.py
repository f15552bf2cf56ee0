"""Whether a device would take part, and what it says of that."""

import logging
from typing import Any

import pytest

from edge_client.federation.readiness import Readiness
from edge_client.federation.settings import PermissionSettings
from shared.task import DEFAULT_TASK


class Ready:
    """A readiness whose examples and limits are the test's."""

    def __init__(self, **limits: Any) -> None:
        self.now = 1000.0
        self.count = 5
        self.learned: list[int] = []
        self.why_not: str | None = None
        self.asked: list[bool] = []
        self.readiness = Readiness(
            PermissionSettings.parse(limits),
            keys=lambda: list(range(1, self.count + 1)),
            learned=lambda: self.learned,
            why_not=self._why_not,
            clock=lambda: self.now,
            task=DEFAULT_TASK.digest,
        )

    def _why_not(self, _: object, *, training: bool) -> str | None:
        self.asked.append(training)
        return self.why_not


def test_it_trains_with_examples_and_its_owners_leave(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    it = Ready()
    presence = it.readiness.look(training=False)
    assert (presence.state, presence.examples, presence.trains) == ("online", None, True)
    assert presence.task == DEFAULT_TASK.digest
    assert presence.software.startswith("chorus-edge ")
    it.why_not = "it runs on battery"
    presence = it.readiness.look(training=True)
    assert (presence.trains, it.readiness.trains) == (False, False)
    it.readiness.look(training=True)
    assert it.asked == [False, True, True]
    assert caplog.text.count("takes part in no round now: it runs on battery.") == 1, "once"


def test_without_examples_it_does_not_train(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    it = Ready()
    it.count = 0
    assert not it.readiness.look(training=False).trains
    assert "no labelled examples yet" in caplog.text
    it.count = 3
    assert it.readiness.look(training=False).trains


def test_only_limits_make_it_look_again() -> None:
    free, limited = Ready(), Ready(on_mains=True)
    free.readiness.look(training=False)
    limited.readiness.look(training=False)
    assert (free.readiness.look_at, limited.readiness.look_at) == (None, 1060.0)
