"""The service: whom it takes for ready, and when a round is worth it."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Opened
from shared.protocol.messages import Announcement, Presence
from tests.aggregator.driver import come, kill, play, put, random_update, settings
from tests.aggregator.server.serves import Serves

if TYPE_CHECKING:
    from aggregator.ledger import ClientRecord

pytestmark = pytest.mark.usefixtures("tiny")

PACE = {"rounds": None, "quorum": 2, "least_examples": 8, "new_examples": 5, "every": 100}


class Paced(Serves):
    """A service of a federation that waits for examples."""

    def __init__(self, folder: Path, **values: Any) -> None:
        super().__init__(folder, **{**PACE, **values})
        self.announced: list[tuple[str, int]] = []
        self.known: dict[str, ClientRecord] = {}

    def told(self, client: str, supply: str | None, *, trains: bool = True) -> Any:
        """Let a client of 1.2 say what it has."""
        return self.says(client, examples=None, supply=supply, trains=trains)

    def look(self) -> None:
        found = [one for one in self.connection.take() if isinstance(one, Announcement)]
        self.announced += [(one.state, one.round) for one in found]
        self.federation.ledger.flush()
        self.known = {one.name: one for one in self.federation.ledger.clients()}


def test_it_asks_clients_for_what_its_settings_say(tmp_path: Path) -> None:
    it = Paced(tmp_path)
    announced: list[Announcement] = []
    it.play(it.connection.connect, lambda: announced.extend(it.connection.take()))
    assert (announced[0].least_examples, announced[0].new_examples) == (8, 5)
    assert announced[0].protocol == "1.3"


def test_a_round_opens_when_one_of_the_quorum_has_something_new(tmp_path: Path) -> None:
    it = Paced(tmp_path)
    it.play(
        it.connection.connect,
        *(it.told("anna", "enough"), it.told("ben", "some", trains=False), it.look),
        *(it.told("cleo", "enough"), it.look),
        *(it.told("cleo", "new"), it.look),
    )
    assert it.announced == [("waiting", 1), ("open", 1)]
    assert it.federation.rounds.invited == {"anna", "cleo"}
    told = {name: (one.supply, one.trains, one.examples) for name, one in it.known.items()}
    assert told == {
        "anna": ("enough", True, 0),
        "ben": ("some", False, 0),
        "cleo": ("new", True, 0),
    }


def test_who_has_too_few_is_not_ready_whatever_it_says(tmp_path: Path) -> None:
    it = Paced(tmp_path, quorum=1)
    it.play(it.connection.connect, it.told("anna", "some"), it.told("ben", "none"), it.look)
    assert it.announced == [("waiting", 1)]
    assert it.federation.rounds.ready == 0


def test_a_client_of_1_1_takes_part_by_the_number_that_it_says(tmp_path: Path) -> None:
    it = Paced(tmp_path, quorum=1)
    it.play(
        it.connection.connect,
        *(it.says("anna", examples=7), it.look),
        *(it.says("anna", examples=8), it.look),
    )
    assert it.announced == [("waiting", 1), ("open", 1)]
    assert (it.known["anna"].examples, it.known["anna"].supply) == (8, "")


def test_one_that_does_not_know_yet_what_is_asked_opens_no_round(tmp_path: Path) -> None:
    it = Paced(tmp_path, quorum=1, least_examples=1)
    it.play(it.connection.connect, it.told("anna", None), it.look)
    assert it.announced == [("waiting", 1)]


def test_a_pause_ends_by_itself_and_is_no_deadline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    it = Paced(tmp_path, quorum=1, round_seconds=5000)

    def give_up() -> None:
        it.service._course.roll_back(0)

    it.play(
        it.connection.connect,
        *(it.told("anna", "new"), 10.0, give_up, it.look),
        *(89.0, it.look, 2.0, it.look),
    )
    assert it.announced == [("waiting", 1), ("open", 1), ("waiting", 2), ("open", 2)]
    assert "at its deadline" not in caplog.text
    assert it.federation.rounds.deadline == it.driver.now - 1 + 5000


def test_while_it_is_paused_nothing_opens_and_the_next_opens_when_it_goes_on(
    tmp_path: Path,
) -> None:
    it = Paced(tmp_path, quorum=1)
    it.play(
        it.connection.connect,
        *(partial(it.service._course.pause, paused=True), it.told("anna", "new"), 1000.0, it.look),
        *(partial(it.service._course.pause, paused=False), it.look),
    )
    assert it.announced == [("waiting", 1), ("open", 1)]


def test_the_number_of_examples_comes_with_an_update(tmp_path: Path) -> None:
    it = Paced(tmp_path)
    with it.federation as federation:
        federation.ledger.see("anna", supply="new")
        federation.rounds.present.come("anna", news=True)
        federation.rounds.present.come("ben")
        opened = federation.rounds.look(0)
        assert opened
        federation.open_round(opened)  # type: ignore[arg-type] # it is none that closes one
        put(federation, 1, random_update("anna", 1, examples=11))
        (anna,) = federation.ledger.clients()
    assert (anna.examples, anna.supply, anna.updates) == (11, "new", 1)


def test_a_client_of_1_1_has_news_by_what_it_says_beyond_its_last_update(tmp_path: Path) -> None:
    it = Paced(tmp_path, quorum=1)
    with it.federation as federation:
        present, take = federation.rounds.present, it.service._attendance.take

        def says(number: int) -> bool:
            take("anna", Presence(state="online", examples=number))
            return "anna" in present.news

        assert not says(4), "fewer than a round asks for"
        assert says(9), "all are new before its first update"
        take("anna", Presence(state="offline"))
        assert says(9), "it was away, and nothing was learned"
        present.learned("anna")
        assert [says(number) for number in (9, 9, 13, 14)] == [False, False, False, True]


def test_what_a_rollback_took_back_is_announced_and_what_came_before_is_not(
    tmp_path: Path,
) -> None:
    before = Federation(settings(tmp_path, rounds=9))
    before.rounds.start(0)
    opened = come(before, ["anna", "ben"])
    for _ in range(3):
        assert isinstance(opened, Opened)
        opened = play(before, opened)  # type: ignore[assignment] # one opens after the other
    assert before.ledger.forgotten() == []
    before.roll_back(1)
    # The open round is abandoned with it.
    assert before.ledger.forgotten() == [(2, 4)]
    kill(before)
    it = Paced(tmp_path, rounds=9)
    announced: list[Announcement] = []
    it.play(it.connection.connect, lambda: announced.extend(it.connection.take()))
    assert announced[0].forgotten == [(2, 4)]
