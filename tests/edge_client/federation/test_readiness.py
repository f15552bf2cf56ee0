"""Whether a device would take part, and what it says of that."""

import logging
from typing import Any

import pytest

from edge_client.device import training_set
from edge_client.federation.readiness import Readiness
from edge_client.federation.settings import FederationSettings
from shared.protocol.messages import File, Presence
from shared.round_settings import MOST_ASKED
from shared.task import DEFAULT_TASK
from tests.edge_client.federation.announcements import announcement


class Ready:
    """A readiness whose examples and limits are the test's."""

    def __init__(self, terms: dict[str, int] | None = None, **limits: Any) -> None:
        self.now = 1000.0
        self.keys = [1, 2, 3, 4, 5]
        self.learned: list[int] = []
        self.why_not: str | None = None
        self.asked: list[bool] = []
        self.said: list[Presence] = []
        self.reached = True
        self.readiness = Readiness(
            FederationSettings.parse({"terms": terms or {}, **limits}),
            keys=lambda: self.keys,
            learned=lambda: self.learned,
            say=self._say,
            why_not=self._why_not,
            clock=lambda: self.now,
        )

    def look(self, *, training: bool = False) -> Presence:
        """Look, and give what was said last."""
        self.readiness.look(training=training)
        return self.said[-1]

    def _say(self, presence: Presence) -> bool:
        self.said.append(presence)
        return self.reached

    def _why_not(self, _: object, *, training: bool) -> str | None:
        self.asked.append(training)
        return self.why_not


def test_it_trains_with_examples_and_its_owners_leave(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    it = Ready()
    presence = it.look()
    assert (presence.state, presence.examples, presence.trains) == ("online", None, True)
    assert presence.task == DEFAULT_TASK.digest
    assert presence.software.startswith("chorus-edge ")
    it.why_not = "it runs on battery"
    presence = it.look(training=True)
    assert (presence.trains, it.readiness.trains) == (False, False)
    it.look(training=True)
    assert it.asked == [False, True, True]
    assert caplog.text.count("takes part in no round now: it runs on battery.") == 1, "once"


def test_without_examples_it_does_not_train(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    it = Ready()
    it.keys = []
    assert not it.look().trains
    assert "no labelled examples yet" in caplog.text
    it.keys = [1, 2, 3]
    assert it.look().trains


def test_only_limits_make_it_look_again() -> None:
    free, limited = Ready(), Ready(on_mains=True)
    free.look()
    limited.look()
    assert (free.readiness.look_at, limited.readiness.look_at) == (None, 1060.0)


def test_before_it_knows_what_is_asked_for_it_says_nothing_of_its_examples() -> None:
    it = Ready()
    presence = it.look()
    assert (presence.supply, presence.trains, it.readiness.lacks) == (None, True, None)


@pytest.mark.parametrize(
    ("count", "learned", "supply", "trains", "lacks"),
    [
        (0, 0, "none", False, 8),
        (1, 0, "some", False, 7),
        (7, 0, "some", False, 1),
        (8, 0, "new", True, 0),
        (8, 8, "enough", True, 5),
        (12, 8, "enough", True, 1),
        (13, 8, "new", True, 0),
        (7, 8, "some", False, 5),
    ],
)
def test_what_it_has_is_said_in_four_words(
    count: int, learned: int, supply: str, lacks: int, *, trains: bool
) -> None:
    it = Ready()
    it.keys, it.learned = list(range(1, count + 1)), list(range(1, learned + 1))
    model = File(digest="0" * 64, size=1)
    it.readiness.heed(announcement(model, least_examples=8, new_examples=5))
    presence = it.look()
    assert (presence.supply, presence.trains) == (supply, trains)
    assert it.readiness.lacks == lacks
    assert presence.examples is None, "no number is said"


def test_what_no_person_has_labelled_counts_for_nothing() -> None:
    it = Ready()
    it.keys, it.learned = [-9, -8, -7, 1, 2, 3], [1]
    model = File(digest="0" * 64, size=1)
    it.readiness.heed(announcement(model, least_examples=4, new_examples=2))
    assert it.look().supply == "some"
    assert it.readiness.lacks == 1


def test_what_did_not_go_out_is_said_again_and_what_did_is_not() -> None:
    it = Ready()
    it.reached = False
    it.look()
    it.look()
    it.reached = True
    it.look()
    assert len(it.said) == 3
    it.look()
    assert len(it.said) == 3
    it.readiness.say_again()
    it.look()
    assert it.said == [it.said[0]] * 4


def test_a_federation_cannot_ask_for_more_than_a_device_trains_on() -> None:
    assert MOST_ASKED <= training_set.MOST


def test_a_round_outside_of_the_devices_own_terms_is_not_trained_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    it = Ready(terms={"smallest_batch": 4, "fewest_steps": 2})
    model = File(digest="0" * 64, size=1)
    asked = {"batch_size": 1, "steps": 1}
    it.readiness.heed(announcement(model, training=asked))
    assert not it.look().trains
    assert it.readiness.objection == (
        "This device takes part in no round now: the federation asks for a batch size of 1, and "
        "this device's terms for 4 or more."
    )
    assert it.readiness.objection in caplog.text
    it.readiness.heed(announcement(model, training=asked | {"batch_size": 4}))
    assert not it.look().trains
    assert "a step count of 1, and this device's terms for 2 or more" in it.readiness.objection
    it.readiness.heed(announcement(model, training={"batch_size": 4, "epochs": 1}))
    assert it.look().trains, "five examples are two batches of four"
    assert it.readiness.objection == ""


def test_steps_are_counted_of_what_is_trained_on() -> None:
    it = Ready(terms={"fewest_steps": 2})
    it.keys = list(range(1, 22))
    asked = announcement(File(digest="0" * 64, size=1), training={"batch_size": 20, "epochs": 1})
    it.readiness.heed(asked)
    assert not it.look().trains, "of 21 examples some are held out"
    it.keys = list(range(1, 40))
    assert it.look().trains


def test_an_objection_ends_with_what_it_was_about() -> None:
    it = Ready(terms={"smallest_batch": 8})
    model = File(digest="0" * 64, size=1)
    it.readiness.heed(announcement(model, training={"batch_size": 4, "steps": 1}))
    it.look()
    assert it.readiness.objection
    it.keys = []  # undone
    it.readiness.heed(announcement(model, training={"batch_size": 8, "steps": 1}))
    it.look()
    assert it.readiness.objection == ""


def test_it_waits_for_as_many_examples_as_its_own_terms_ask_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    it = Ready(terms={"fewest_examples": 7})
    model = File(digest="0" * 64, size=1)
    it.readiness.heed(announcement(model, least_examples=3))
    presence = it.look()
    assert (presence.trains, presence.supply, it.readiness.lacks) == (False, "some", 2)
    assert "it has 5 of the 7 labelled examples that its own terms ask for." in caplog.text
