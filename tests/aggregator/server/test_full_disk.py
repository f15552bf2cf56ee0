"""The service's loop on a disk that is full for a while."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shared.errors import StorageError
from shared.protocol.messages import Presence
from shared.trust import counter
from tests.aggregator.server.serves import TOPICS, Serves, fill
from tests.end_to_end.federation.world import World, simulated, world


@pytest.fixture
def it() -> Iterator[World]:
    with world() as one:
        one.start()
        yield one


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
