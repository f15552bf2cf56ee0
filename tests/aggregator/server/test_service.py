"""The service's loop: announcements, breaks, floods, what it says of clients."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aggregator.rounds.federation import Federation
from aggregator.server.contradiction import CONTRADICT
from aggregator.server.rejections import Rejections
from aggregator.server.service import Service
from shared.errors import BrokerError
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.messages import Announcement, Refused, Unavailable, Want
from shared.task import DEFAULT_TASK
from tests.aggregator.server.serves import TOPICS, Serves
from tests.end_to_end.federation.world import world
from tests.loop_driver import LoopDriver


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
