"""The ledger alone: what it refuses, bounds and survives."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from aggregator.ledger import CheckedUpdate, History, Ledger, Model, sightings
from aggregator.ledger import ledger as module
from aggregator.ledger.history import begun_with
from aggregator.settings import AggregatorSettings
from shared.errors import FederationError, StorageError
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1e9)


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    ledger = Ledger(tmp_path / "ledger.sqlite", clock)
    ledger.begin(AggregatorSettings())
    ledger.add_initial(Model(digest="0" * 64, bytes=8))
    return ledger


def update(client: str, number: int = 1) -> CheckedUpdate:
    return CheckedUpdate(
        round=number, client=client, digest="d" * 64, bytes=9, codec="float32", examples=3, norm=1.5
    )


def test_a_client_counts_once_and_only_in_an_open_round(ledger: Ledger, clock: Clock) -> None:
    with pytest.raises(ValueError, match="not open"):
        ledger.accept(update("a"))
    ledger.open_round(1, ["a", "b"], 2, {})
    ledger.accept(update("a"))
    with pytest.raises(ValueError, match="a has an update"):
        ledger.accept(update("a"))
    ledger.close_round(1)
    with pytest.raises(ValueError, match="not open"):
        ledger.accept(update("b"))
    (entered,) = ledger.updates(1)
    assert (entered.client, entered.norm, entered.accepted) == ("a", 1.5, clock.now)
    assert ledger.update(1, "b") is None
    assert [client.updates for client in ledger.clients()] == [1]
    assert ledger.update_totals() == (1, 9)


def test_more_invitations_keep_the_rest_of_a_round(ledger: Ledger, clock: Clock) -> None:
    ledger.open_round(1, ["a"], 1, {"epochs": 1})
    opened, clock.now = clock.now, clock.now + 60
    ledger.open_round(1, ["a", "b"], 1, {"epochs": 1})
    record = ledger.round(1)
    assert record
    assert (record.invited, record.opened, record.base) == (("a", "b"), opened, 1)


def test_a_round_ends_once(ledger: Ledger) -> None:
    ledger.open_round(1, ["a"], 1, {})
    new = Model(digest="1" * 64, bytes=8)
    with pytest.raises(ValueError, match="not closed"):
        ledger.finish_round(1, new, loss=None, confusion=None, seconds=1)
    ledger.close_round(1)
    version = ledger.finish_round(1, new, loss=0.5, confusion=None, seconds=1)
    assert (version.round, version.parent, version.origin) == (1, 1, "round")
    with pytest.raises(ValueError, match="not closed"):
        ledger.finish_round(1, new, loss=None, confusion=None, seconds=1)
    ledger.abandon_round(1, "too late")
    record = ledger.last_round()
    assert record
    assert (record.state, record.note) == ("done", "")
    assert ledger.current() == version


def test_what_is_seen_of_clients_is_added_up_and_written_together(
    ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    with History(tmp_path / "ledger.sqlite") as history:
        ledger.see("b", present=True, trains=True, examples=7, software="1.0", bytes_up=10)
        ledger.see("b", bytes_up=5, bytes_down=2)
        assert history.clients() == []
        clock.now += 6
        ledger.see("a")
        ledger.flush()
        first, second = history.clients()
    assert (first.name, first.present, first.last_seen) == ("a", False, clock.now)
    assert (second.present, second.trains, second.examples, second.software) == (
        True,
        True,
        7,
        "1.0",
    )
    assert (second.bytes_up, second.bytes_down, second.last_seen) == (15, 2, clock.now - 6)


def test_after_a_restart_nobody_is_there(ledger: Ledger, tmp_path: Path) -> None:
    ledger.see("a", present=True)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert [client.present for client in ledger.clients()] == [True]
    ledger.begin(AggregatorSettings())
    assert [client.present for client in ledger.clients()] == [False]
    ledger.see("a", present=True)
    ledger.flush()
    ledger.see("b", present=True)
    ledger.forget_present()
    assert [(client.name, client.present) for client in ledger.clients()] == [
        ("a", False),
        ("b", False),
    ]


def test_refusals_and_clients_are_bounded(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_REFUSALS", 5)
    monkeypatch.setattr(sightings, "MOST_CLIENTS", 3)
    for number in range(8):
        clock.now += 1
        ledger.see(f"client-{number}")
        ledger.refuse(f"client-{number}", "late", "Too late.", number, None)
    assert [refusal.round for refusal in ledger.refusals()] == [7, 6, 5, 4, 3]
    assert [refusal.round for refusal in ledger.refusals(2)] == [7, 6]
    assert [client.name for client in ledger.clients()] == ["client-5", "client-6", "client-7"]


def test_a_failed_step_leaves_nothing(ledger: Ledger) -> None:
    ledger.open_round(1, ["a"], 1, {})
    ledger.close_round(1)
    with pytest.raises(sqlite3.IntegrityError):
        # Without a digest: the version cannot be entered after the round was.
        ledger.finish_round(
            1,
            Model(digest=None, bytes=1),  # type: ignore[arg-type] # on purpose
            loss=None,
            confusion=None,
            seconds=1,
        )
    record = ledger.round(1)
    assert record
    assert record.state == "closed"


def test_what_was_written_survives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    script = f"""
import os, signal
from pathlib import Path
from aggregator.ledger import Ledger, Model
from aggregator.settings import AggregatorSettings
from tests.aggregator.ledger.test_ledger import update
ledger = Ledger(Path({str(path)!r}))
ledger.begin(AggregatorSettings())
ledger.add_initial(Model(digest="0" * 64, bytes=8))
ledger.open_round(1, ["a"], 1, {{}})
ledger.accept(update("a"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -9
    ledger = Ledger(path)
    assert [entered.client for entered in ledger.updates(1)] == ["a"]
    ledger.close()


def test_it_is_read_beside_its_writer_and_after_it(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with History(path) as history:
        ledger.open_round(1, ["a"], 1, {})
        assert history.round(1) == ledger.round(1)
    ledger.close()
    with History(path) as history:
        assert len(history.run) == 32
        assert history.round(2) is None


def test_without_a_ledger_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(FederationError, match="no federation"):
        History(tmp_path / "ledger.sqlite")
    assert not list(tmp_path.iterdir())


def test_a_newer_ledger_is_refused_and_left_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for opening in (Ledger, History):
        with pytest.raises(FederationError, match="newer version"):
            opening(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    assert connection.execute("SELECT COUNT(*) FROM versions").fetchone() == (1,)
    connection.close()


def test_a_ledger_of_the_first_version_is_brought_up_to_date(
    ledger: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger.see("desk", examples=28)
    ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE charges")
        connection.execute("ALTER TABLE clients DROP COLUMN supply")
        connection.execute("ALTER TABLE versions DROP COLUMN statistics")
        connection.execute("ALTER TABLE versions DROP COLUMN difference")
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(FederationError, match="older version"):
        History(path)
    Ledger(path).close()
    with History(path) as history:
        (desk,) = history.clients()
        assert {version.difference for version in history.versions()} == {None}
    assert (desk.examples, desk.supply) == (28, "")


def test_an_empty_ledger_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.touch()
    with pytest.raises(FederationError, match="older version"):
        History(path)
    Ledger(path).close()
    with History(path) as history, pytest.raises(FederationError, match="never served"):
        assert history.run


def test_a_damaged_ledger_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no database" * 1000)
    for opening in (Ledger, History):
        with pytest.raises(FederationError, match="damaged"):
            opening(path)


def test_a_pipe_in_its_place_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "ledger.sqlite")
    assert begun_with(path) == {}
    for opening in (Ledger, History):
        with pytest.raises(StorageError, match="it is a pipe"):
            opening(path)


def test_a_full_disk_is_a_storage_error_and_nothing_is_lost(
    ledger: Ledger,
) -> None:
    ledger.open_round(1, ["a"], 1, {})
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    ledger.see("b", bytes_up=7)
    with pytest.raises(StorageError, match="full"):
        ledger.refuse("b", "late", "x" * 50_000, 1, None)
    ledger.see("b", software="x" * 50_000)
    with pytest.raises(StorageError, match="full"):
        ledger.flush()
    ledger._connection.execute("PRAGMA max_page_count = 1000000")
    ledger.accept(update("a"))
    assert [(c.name, c.bytes_up) for c in ledger.clients()] == [("a", 0), ("b", 7)]
