"""Going back to an earlier model while the federation is served."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from aggregator.ledger import Version
from aggregator.rounds.federation import Federation
from shared.errors import ChorusError, FederationError
from shared.protocol.messages import Announcement
from tests.aggregator.driver import come, kill, play, settings
from tests.aggregator.server.serves import Serves
from tests.end_to_end.federation.world import world


@pytest.fixture
def third(tmp_path: Path, tiny: None) -> Serves:
    """Serve a federation whose third round is open, for anna and ben."""
    del tiny
    before = Federation(settings(tmp_path, rounds=6))
    before.rounds.start(0)
    opened = come(before, ["anna", "ben"])
    assert opened
    play(before, play(before, opened))  # type: ignore[arg-type] # the second round
    kill(before)
    return Serves(tmp_path, rounds=6)


class Asks:
    """Whoever asks, in a thread of its own; two scenes of a play."""

    def __init__(self, serves: Serves, number: int) -> None:
        self.outcome: Future[Version] = Future()
        self._serves = serves
        self._number = number
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        try:
            self.outcome.set_result(self._serves.service.steering.roll_back(self._number))
        except ChorusError as error:
            self.outcome.set_exception(error)

    def begin(self) -> None:
        """Ask, and come back once the question waits in the loop's queue."""
        asked = threading.Event()
        put = self._serves.driver.put

        def note(action: Callable[[], None]) -> None:
            put(action)
            asked.set()

        self._serves.driver.loop._queue.put = note  # type: ignore[method-assign] # the test's own
        self._thread.start()
        assert asked.wait(30)
        self._serves.driver.loop._queue.put = put  # type: ignore[method-assign] # as above

    def end(self) -> None:
        """Have the answer."""
        self._thread.join(30)
        assert self.outcome.done()


def states(said: list[Any]) -> list[tuple[str, int, str]]:
    return [
        (one.state, one.round, one.model.digest) for one in said if isinstance(one, Announcement)
    ]


def test_the_open_round_is_abandoned_and_the_next_begins_with_the_model(third: Serves) -> None:
    asks, said = Asks(third, 1), list[Any]()
    to = third.federation.ledger.find(1)
    third.play(
        third.connection.connect,
        *(third.says("anna"), third.says("ben"), third.connection.take),
        *(asks.begin, asks.end, lambda: said.extend(third.connection.take())),
        lambda: _check(third, asks.outcome.result(), to),
    )
    assert states(said) == [("open", 4, to.digest)]


def _check(third: Serves, version: Version, to: Version) -> None:
    ledger = third.federation.ledger
    assert (version.origin, version.parent, version.round) == ("rollback", to.number, 1)
    assert third.federation.current == version == ledger.current()
    abandoned, opened = ledger.round(3), ledger.round(4)
    assert abandoned
    assert (abandoned.state, abandoned.note) == (
        "abandoned", "rolled back to the model of round 1",
    )  # fmt: skip
    assert opened
    assert (opened.state, opened.base) == ("open", version.number)


def test_between_rounds_the_model_is_announced_at_once(tmp_path: Path, tiny: None) -> None:
    del tiny
    serves = Serves(tmp_path)
    asks, said = Asks(serves, 0), list[Any]()
    serves.play(
        *(serves.connection.connect, serves.connection.take),
        *(asks.begin, asks.end, lambda: said.extend(serves.connection.take())),
    )
    assert asks.outcome.result().origin == "rollback"
    assert states(said) == [("waiting", 1, asks.outcome.result().digest)]


def test_a_model_that_is_not_there_changes_nothing(third: Serves) -> None:
    file = third.federation.files.path(third.federation.ledger.find(1).digest)
    file.unlink()
    before, seen = third.federation.current, list[Any]()
    asked = [Asks(third, 5), Asks(third, 1)]
    third.play(
        third.connection.connect,
        *(scene for asks in asked for scene in (asks.begin, asks.end)),
        lambda: seen.extend([third.federation.ledger.current(), third.federation.rounds.phase]),
    )
    assert seen == [before, "open"]
    for asks, said in zip(asked, ("no model after round 5", "no longer kept"), strict=True):
        with pytest.raises(FederationError, match=said):
            asks.outcome.result()


def test_not_while_a_round_is_aggregated(third: Serves) -> None:
    asks = Asks(third, 1)

    def aggregate() -> None:
        third.federation.rounds.abandon()

    third.play(third.connection.connect, aggregate, asks.begin, asks.end)
    with pytest.raises(FederationError, match="Round 3 is being written down"):
        asks.outcome.result()


def test_who_gave_up_waiting_changes_nothing_later(third: Serves) -> None:
    with pytest.raises(FederationError, match="too busy"):
        third.service.steering.roll_back(1, patience=0)
    before, seen = third.federation.current, list[Version]()
    third.play(third.connection.connect, lambda: seen.append(third.federation.current))
    assert seen == [before]


def test_devices_go_on_with_the_model_and_the_federation_ends() -> None:
    """In the middle of the second round, with real devices."""
    with world(rounds=4) as it:
        it.settle(until=lambda: it.server and it.server.federation.ledger.updates(2))
        assert it.server
        service, federation = it.server.service, it.server.federation
        ledger = federation.ledger
        initial = ledger.find(0)

        def go_back() -> None:
            service._course.roll_back(0)

        service._loop.put(go_back)
        it.settle()
        records = [ledger.round(number) for number in range(1, 5)]
        assert [record and record.state for record in records] == [
            *("done", "abandoned", "done", "done"),
        ]
        third = records[2]
        assert third
        assert ledger.version(third.base).digest == initial.digest
        assert len(ledger.updates(3)) == len(it.data)
        origins = [version.origin for version in ledger.ancestry(federation.current.number)]
        assert origins == ["round", "round", "rollback", "initial"]
