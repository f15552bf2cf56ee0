"""A participant alone with a test: what it says of its examples, and what it remembers of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_client.federation.client_state import remembered
from shared.errors import StorageError
from shared.protocol.messages import Accepted, File, Offer, Presence, Refused
from tests.edge_client.federation.alone import Alone
from tests.edge_client.federation.announcements import model_of
from tests.edge_client.tiny import examples

pytestmark = pytest.mark.usefixtures("tiny")

ASKED = {"least_examples": 3, "new_examples": 2}


class Paced(Alone):
    """A participant whose examples grow, in a federation that asks for some."""

    def __init__(self, folder: Path, count: int = 0) -> None:
        super().__init__(folder, terms={"fewest_examples": 1})
        self.data = lambda: examples(len(self.keys))
        self.keys = list(range(count))
        self.offers: list[Offer] = []
        self.presences: list[Presence] = []

    def asks(self, model: File, **values: Any) -> Callable[[], None]:
        return self.announce(model, **{**ASKED, **values})

    def label(self) -> None:
        """Let one more example be labelled."""
        self.keys.append(len(self.keys))
        self.participant.examples_changed()

    def look(self) -> None:
        said = self.connection.take()
        self.offers += [one for one in said if isinstance(one, Offer)]
        self.presences += [one for one in said if isinstance(one, Presence)]

    def accept(self) -> None:
        self.look()
        self.reply(Accepted(update=self.offers[-1].update))

    @property
    def supplies(self) -> list[str | None]:
        return [one.supply for one in self.presences]


def test_it_says_what_it_has_when_that_changes_and_not_with_each_label(tmp_path: Path) -> None:
    it = Paced(tmp_path)
    model = model_of(tmp_path)
    waiting = it.asks(model, state="waiting")
    it.play(
        it.connection.connect,
        *(waiting, *[it.label] * 2, waiting, *[it.label] * 5, it.look),
    )
    assert it.supplies == [None, "none", "some", "new"]
    assert [one.trains for one in it.presences] == [False, False, False, True]
    assert b"examples" not in b"".join(one.encode() for one in it.presences)
    lacks = [report["lacks"] for report in it.reports]
    assert sorted(set(lacks), reverse=True) == [3, 2, 1, 0]
    assert lacks[-1] == 0


def test_on_a_full_disk_it_says_what_it_has_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("The disk is full.")

    it = Paced(tmp_path)
    monkeypatch.setattr(it.participant._client_state, "note", full)
    model = model_of(tmp_path)
    waiting = it.asks(model, state="waiting")
    it.play(it.connection.connect, waiting, *[it.label] * 3, it.look)
    assert it.supplies == [None, "none", "some", "new"]
    assert "troubled" in it.states


def test_after_each_accepted_update_it_says_what_it_has_now(tmp_path: Path) -> None:
    it = Paced(tmp_path, 3)
    model = model_of(tmp_path)
    it.play(
        it.connection.connect,
        *(it.asks(model), *[it.label] * 2, it.accept, it.look),
        *(it.asks(model, round=2), it.accept, it.look),
        *(it.label, it.label, it.look),
    )
    assert [offer.examples for offer in it.offers] == [3, 5]
    # The aggregator takes nothing for new after an update: the same word is said again.
    assert it.supplies == [None, "new", "new", "enough", "new"]


def test_without_a_broker_it_counts_on_and_says_all_of_it_later(tmp_path: Path) -> None:
    it = Paced(tmp_path)
    model = model_of(tmp_path)
    it.play(
        *(it.connection.connect, it.asks(model, state="waiting")),
        *(it.connection.lose, *[it.label] * 4, it.connection.connect, it.look),
    )
    assert it.supplies == [None, "none", "new"]


def test_what_is_new_survives_every_end(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    first = Paced(tmp_path, 3)
    first.play(first.connection.connect, first.asks(model), first.look)
    assert remembered(tmp_path)["waiting"]

    # It ended before it heard that its update counts; one example came meanwhile.
    second = Paced(tmp_path, 4)
    second.play(second.connection.connect, second.asks(model), second.accept, second.look)
    assert second.supplies[-1] == "enough"
    assert remembered(tmp_path)["lacks"] == 1

    third = Paced(tmp_path, 5)
    third.play(third.connection.connect, third.asks(model, round=2, state="waiting"), third.look)
    assert third.supplies == [None, "new"]
    assert remembered(tmp_path)["lacks"] == 0


def test_what_was_refused_or_forgotten_is_new_still(tmp_path: Path) -> None:
    it = Paced(tmp_path, 3)
    model = model_of(tmp_path)

    def refuse() -> None:
        it.look()
        update = it.offers[-1].update
        it.reply(Refused(update=update, reason="late", sentence="Too late."))

    def forgotten() -> None:
        it.look()
        update = it.offers[-1].update
        it.reply(Refused(update=update, reason="forgotten", sentence="Put back."))

    it.play(
        *(it.connection.connect, it.asks(model), refuse, it.look),
        *(it.asks(model, round=2), it.accept, it.look),
        *(it.asks(model, round=2), forgotten, it.look),
    )
    assert it.supplies == [None, "new", "enough", "new"]


def test_of_another_run_nothing_has_been_learned(tmp_path: Path) -> None:
    it = Paced(tmp_path, 3)
    model = model_of(tmp_path)
    it.play(
        *(it.connection.connect, it.asks(model), it.accept, it.look),
        *(it.asks(model, run="1" * 32, state="waiting"), it.look),
        *(it.asks(model, state="waiting"), it.look),
    )
    assert it.supplies == [None, "new", "enough", "new", "enough"]


def test_an_aggregator_of_1_1_asks_for_nothing(tmp_path: Path) -> None:
    it = Paced(tmp_path, 1)
    model = model_of(tmp_path)
    whole = it.announce(model)

    def announce() -> None:
        say = it.connection.on_message
        it.connection.on_message = lambda topic, payload: say(topic, older(payload))
        whole()

    it.play(it.connection.connect, announce, it.look)
    assert [offer.examples for offer in it.offers] == [1]


def older(payload: bytes) -> bytes:
    facts = json.loads(payload)
    del facts["least_examples"], facts["new_examples"]
    return json.dumps({**facts, "protocol": "1.1"}).encode()


def test_what_a_rollback_took_from_the_model_is_new_again(tmp_path: Path) -> None:
    it = Paced(tmp_path, 3)
    model = model_of(tmp_path)
    it.play(
        *(it.connection.connect, it.asks(model), it.accept, it.look),
        *(it.asks(model, round=2, state="waiting", forgotten=[(3, 4)]), it.look),
        *(it.asks(model, round=2, state="waiting", forgotten=[(1, 2)]), it.look),
    )
    assert it.supplies == [None, "new", "enough", "new"]
    assert len(it.offers) == 1, "its update of that round is not sent again"
