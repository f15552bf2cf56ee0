"""The service's loop: a disk that is full for a while, floods, what it says of clients."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aggregator.rounds.federation import Federation
from aggregator.server.contradiction import CONTRADICT
from aggregator.server.rejections import Rejections
from aggregator.server.service import Service
from shared.errors import BrokerError, StorageError
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.messages import Announcement, Presence, Refused, Unavailable, Want
from shared.protocol.topics import Topics
from shared.task import DEFAULT_TASK
from shared.trust import counter
from tests.aggregator.driver import settings
from tests.end_to_end.federation.world import World, simulated, world
from tests.loop_driver import LoopDriver

TOPICS = Topics("chorus")


class Serves:
    """A service alone with a test: its connection and its loop are in the test's hands."""

    def __init__(self, folder: Path, **values: Any) -> None:
        self.driver = LoopDriver()
        self.federation = Federation(settings(folder, **values))
        self.changes = 0
        self.service = Service(
            self.federation,
            BrokerSettings(),
            on_change=self._change,
            loop=self.driver.loop,
            connect=self.driver.connect,
        )
        self.connection = self.driver.connection

    def _change(self) -> None:
        self.changes += 1

    def says(self, client: str, **presence: Any) -> Callable[[], None]:
        payload = Presence(**{"state": "online", "examples": 5, **presence}).encode()
        return lambda: self.connection.on_message(TOPICS.presence(client), payload)

    def play(self, *scenes: Callable[[], object] | float) -> None:
        with self.federation:
            self.driver.play(self.service.run, *scenes)


@pytest.fixture
def alone(tmp_path: Path, tiny: None) -> Serves:
    del tiny
    return Serves(tmp_path)


@pytest.fixture
def it() -> Iterator[World]:
    with world() as one:
        one.start()
        yield one


def fill(target: object, name: str, times: int, patch: pytest.MonkeyPatch) -> list[None]:
    """Let the disk be full for some calls of a method; give a list that grows with them."""
    whole = getattr(target, name)
    failed: list[None] = []

    def full(*arguments: Any, **more: Any) -> Any:
        if len(failed) < times:
            failed.append(None)
            raise StorageError("The disk is full.", "Free some space.")
        return whole(*arguments, **more)

    patch.setattr(target, name, full)
    return failed


@pytest.mark.parametrize(
    ("owner", "name"),
    [("federation", "open_round"), ("federation", "close_round"), ("ledger", "accept")],
)
def test_what_a_full_disk_prevented_is_done_when_there_is_room(
    owner: str, name: str, it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert it.server
    federation = it.server.federation
    target = federation if owner == "federation" else federation.ledger
    failed = fill(target, name, 3, monkeypatch)
    it.settle()
    assert len(failed) == 3
    it.check(simulated())


def test_a_round_that_is_not_written_down_is_not_announced(
    it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert it.server
    failed = fill(it.server.federation, "open_round", 30, monkeypatch)
    it.settle(until=lambda: failed)
    # It is back, and tells where the federation stands.
    it.network.cut(it.server.link)
    it.settle(until=lambda: len(failed) > 10)
    assert it.server.federation.ledger.last_round() is None
    it.settle()
    it.check(simulated())


@pytest.mark.parametrize(
    ("there", "gone", "opened"),
    [
        (("anna",), ("anna",), [(2, ("cleo",))]),
        (("anna", "ben"), ("anna",), [(1, ("ben",))]),
        (("anna", "ben"), ("anna", "ben"), [(2, ("cleo", "dora"))]),
    ],
)
def test_who_is_shut_out_of_a_round_before_it_is_written_down_is_not_in_it(
    there: tuple[str, ...],
    gone: tuple[str, ...],
    opened: list[tuple[int, tuple[str, ...]]],
    tmp_path: Path,
    tiny: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del tiny
    alone = Serves(tmp_path, quorum=len(there))
    ledger, said = alone.federation.ledger, list[Any]()
    fill(ledger, "open_round", len(gone), monkeypatch)

    def shut_out() -> None:
        for client in gone:
            with suppress(StorageError):
                alone.service._course.shut_out(client)

    alone.play(
        alone.connection.connect,
        *(alone.says(client) for client in there),
        shut_out,
        *(alone.says("cleo"), alone.says("dora"), 30.0),
        lambda: said.extend(alone.connection.take()),
        lambda: said.extend((one.number, one.invited) for one in ledger.rounds()),
    )
    assert [one for one in said if isinstance(one, tuple)] == opened
    announced = [(one.round, tuple(one.clients)) for one in said if getattr(one, "clients", None)]
    assert announced == opened


def test_a_refusal_that_cannot_be_written_ends_nothing(
    it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.end_to_end.federation.hostile import Mallory, update_file

    assert it.server
    failed = fill(it.server.federation.ledger, "refuse", 1, monkeypatch)
    it.settle(until=lambda: it.server and it.server.federation.ledger.last_round())
    Mallory(it, "mallory").send(update_file())
    it.settle()
    assert failed
    it.check(simulated())


def test_on_a_disk_that_is_full_from_the_start_it_serves_once_there_is_room(
    alone: Serves, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger, connection = alone.federation.ledger, alone.connection
    before = Presence(state="online", examples=5).encode()
    signing = fill(counter, "write_number", 3, monkeypatch)
    written = fill(ledger, "open_round", 2, monkeypatch)
    # They are there before it has begun to serve; who is there was not known to the ledger.
    forgotten = fill(ledger, "flush", 1, monkeypatch)
    ledger.see("cleo", present=True)
    said: list[Any] = []

    def come(*clients: str) -> None:
        connection.connect()
        for client in clients:
            connection.on_message(TOPICS.presence(client), before)

    alone.play(
        lambda: come("anna", "ben", "dora"),
        *(100.0, lambda: said.extend(connection.take())),
        alone.says("dora", state="offline"),
        10.0,
        lambda: said.append([one.name for one in ledger.clients() if one.present]),
    )
    assert (len(signing), len(written), len(forgotten)) == (3, 2, 1)
    *_, last, present = said
    assert (last.state, last.round, last.clients) == ("open", 1, ["anna", "ben"])
    assert present == ["anna", "ben"]
    assert len([one for one in caplog.records if "disk is full" in one.getMessage()]) == 4


def test_it_does_not_repeat_itself_and_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    rejections = Rejections()
    assert rejections.about("anna", "It is late.")
    assert not rejections.about("anna", "It is late.")
    assert rejections.about("ben", "It is late.")
    rejections.forget()
    assert rejections.about("anna", "It is late.")
    caplog.clear()
    for number in range(100):
        rejections.about("anna", f"It is late by {number}.")
    assert len(caplog.records) == 10
    for number in range(5000):
        rejections.about(f"client-{number}", "It is late.")
    assert len(caplog.records) < 1010


def test_a_round_is_announced_when_enough_are_there_and_again_after_a_break(
    alone: Serves,
) -> None:
    said: list[Any] = []
    connection = alone.connection
    alone.play(
        connection.connect,
        alone.says("anna"),
        alone.says("ben"),
        lambda: said.extend(connection.take()),
        connection.lose,
        connection.connect,
        lambda: said.extend(connection.take()),
    )
    states = [(one.state, one.clients) for one in said if isinstance(one, Announcement)]
    assert states == [("waiting", None), ("open", ["anna", "ben"]), ("open", ["anna", "ben"])]
    assert connection.closed
    assert all(worker.ended for worker in alone.driver.workers.values())


def test_what_somebody_else_announces_is_contradicted_and_not_too_often(
    alone: Serves, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[list[Any]] = []
    connection = alone.connection

    def hear(*payloads: bytes) -> None:
        for payload in payloads:
            connection.on_message(TOPICS.round, payload)

    def echo() -> None:
        """Let the broker bring what was announced; note it."""
        said.append([one for one in connection.take() if isinstance(one, Announcement)])
        hear(*(one.encode() for one in said[-1]))

    alone.play(
        lambda: hear(b"what an earlier process has said"),
        connection.connect,
        echo,
        lambda: hear(*[b"forged"] * 50),
        echo,
        lambda: hear(b"forged", b""),
        echo,
        CONTRADICT - 1.0,
        echo,
        2.0,
        echo,
        CONTRADICT,
        echo,
    )
    assert [len(each) for each in said] == [1, 1, 0, 0, 1, 0]
    assert len({one.run for each in said for one in each}) == 1
    assert caplog.text.count("Somebody else has announced") == 2


def test_who_is_gone_or_may_not_train_is_not_counted_and_a_break_forgets_all(
    alone: Serves,
) -> None:
    there: list[int] = []

    def count() -> None:
        there.append(alone.federation.rounds.ready)

    alone.play(
        alone.connection.connect,
        *(alone.says("anna"), count),
        *(alone.says("anna", trains=False), count),
        *(alone.says("anna"), alone.says("anna", state="offline"), count),
        *(alone.says("anna"), alone.connection.lose, alone.connection.connect, count),
    )
    assert there == [1, 0, 0, 0]


def test_of_who_is_gone_it_is_known_what_it_said_last(alone: Serves) -> None:
    seen: list[Any] = []
    alone.play(
        alone.connection.connect,
        *(alone.says("anna", examples=7, software="chorus-edge 9"), 10.0),
        *(alone.says("anna", state="offline", examples=0), 10.0),
        lambda: seen.extend(alone.federation.ledger.clients()),
    )
    (anna,) = seen
    assert (anna.present, anna.trains) == (False, False)
    assert (anna.examples, anna.software) == (7, "chorus-edge 9")


def test_a_client_of_another_task_is_not_invited(
    alone: Serves, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[Any] = []
    alone.play(
        alone.connection.connect,
        alone.says("anna", task="0" * 64),
        alone.says("anna", task="0" * 64),
        alone.says("ben", task=DEFAULT_TASK.digest),
        alone.says("clara"),  # of protocol 1.0, which knows no tasks
        lambda: said.extend(alone.connection.take()),
    )
    opened = [one.clients for one in said if isinstance(one, Announcement) and one.state == "open"]
    assert opened == [["ben", "clara"]]
    assert caplog.text.count("anna: It is of another task, and not invited to rounds.") == 1


def test_it_ends_when_the_broker_does_not_let_it_in(alone: Serves) -> None:
    def refuse() -> None:
        alone.connection.refused = BrokerError("It does not let this client in.", "Say who it is.")
        alone.connection.lose()

    with pytest.raises(BrokerError, match="does not let"):
        alone.play(refuse)
    assert alone.connection.closed


def test_what_is_wrong_with_a_message_ends_nothing_but_itself(
    alone: Serves, caplog: pytest.LogCaptureFixture
) -> None:
    def send(kind: str, payload: bytes) -> Callable[[], None]:
        return lambda: alone.connection.on_message(getattr(TOPICS, kind)("anna"), payload)

    asked = Want(file="0" * 64, ranges=[(0, 1)])
    said: list[Any] = []
    alone.play(
        alone.connection.connect,
        send("requests", b"{"),
        send("presence", b"[]"),
        send("chunks", b""),
        send("requests", asked.encode()),
        lambda: said.extend(alone.connection.take()),
    )
    assert isinstance(said[-1], Unavailable)
    assert len([one for one in caplog.records if one.getMessage().startswith("anna:")]) == 3


def test_a_round_that_stays_open_says_for_whom_and_is_announced_with_its_new_deadline(
    tmp_path: Path, tiny: None, caplog: pytest.LogCaptureFixture
) -> None:
    del tiny
    alone = Serves(tmp_path, quorum=2, round_seconds=60)
    said: list[Any] = []
    alone.play(
        alone.connection.connect,
        alone.says("anna"),
        alone.says("ben"),
        59.0,
        lambda: said.extend(alone.connection.take()),
        2.0,
        lambda: said.append(alone.connection.take()[-1]),
    )
    assert (said[-1].state, said[-1].round, said[-1].closes_in) == ("open", 1, 60.0)
    (record,) = [one for one in caplog.records if "at its deadline" in one.getMessage()]
    assert "Round 1 has 0 updates" in record.getMessage()
    assert "It waits for anna, ben." in record.getMessage()


def test_a_round_that_lost_a_client_for_good_waits_for_others(
    tmp_path: Path, tiny: None, caplog: pytest.LogCaptureFixture
) -> None:
    del tiny
    alone = Serves(tmp_path, quorum=2, min_updates=2, round_seconds=60)
    rounds, states = alone.federation.rounds, []
    alone.play(
        alone.connection.connect,
        alone.says("anna"),
        alone.says("ben"),
        lambda: alone.service._course.shut_out("ben"),
        lambda: rounds.accept("anna"),
        60.0,
        lambda: states.append((rounds.phase, rounds.wanted)),
    )
    assert states == [("open", 2)]
    (record,) = [one for one in caplog.records if "at its deadline" in one.getMessage()]
    assert record.getMessage().endswith("It waits for others to come.")


def test_that_a_file_is_not_to_be_had_is_said_once_to_each(alone: Serves) -> None:
    def asks(client: str, file: str) -> Callable[[], None]:
        payload = Want(file=file * 64, ranges=[(0, 1)]).encode()
        return lambda: alone.connection.on_message(TOPICS.requests(client), payload)

    said: list[Any] = []
    alone.play(
        alone.connection.connect,
        *[asks("anna", "0")] * 3,
        asks("anna", "1"),
        asks("ben", "0"),
        alone.connection.connect,  # what was said before may have been lost
        asks("anna", "0"),
        lambda: said.extend(alone.connection.take()),
    )
    found = [one.file[0] for one in said if isinstance(one, Unavailable)]
    assert found == ["0", "1", "0", "0"]


def test_an_offer_that_does_not_fit_is_refused_where_it_names_its_update(alone: Serves) -> None:
    def send(**values: Any) -> Callable[[], None]:
        offer = {"protocol": "1.1", "kind": "offer", "update": "1" * 64, **values}
        payload = json.dumps(offer).encode()
        return lambda: alone.connection.on_message(TOPICS.requests("anna"), payload)

    said: list[Any] = []
    alone.play(
        alone.connection.connect,
        send(),
        send(update="2" * 64, size=1 << 63),
        send(update="3" * 63),
        send(kind="want"),
        send(protocol="2.0"),
        lambda: said.extend(alone.connection.take()),
    )
    refused = [one for one in said if isinstance(one, Refused)]
    assert [one.update[0] for one in refused] == ["1", "2"]
    assert {one.reason for one in refused} == {"invalid"}
    assert "size" in refused[1].sentence


def test_once_all_rounds_are_over_it_leaves_when_nobody_is_there() -> None:
    with world() as it:
        it.settle()
        state = it.settings
        it.kill_server()
        it.server = None
        again = Federation(state)
        driver = LoopDriver()
        service = Service(again, BrokerSettings(), loop=driver.loop, connect=driver.connect)
        left: list[float] = []
        with again:
            driver.play(service.run, driver.connection.connect, 1.0, lambda: left.append(1), 60.0)
        assert left == [1], "not before the broker has told who is there"
        assert driver.now == pytest.approx(1002.0)


def test_what_is_new_is_said_at_most_once_a_second(alone: Serves) -> None:
    counts: list[int] = []
    alone.play(
        alone.connection.connect,
        *(alone.says("anna"), alone.says("ben"), lambda: counts.append(alone.changes)),
        *(1.0, lambda: counts.append(alone.changes)),
    )
    assert counts == [1, 2]
