"""Secure rounds that are lost: their journal is of no use, or their devices were revoked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator.enrolment.invitations import revoke
from aggregator.enrolment.members import Members
from aggregator.secure.journal import Journal
from shared.errors import StorageError
from tests.end_to_end.federation.secure_world import (
    EVERYBODY,
    check,
    counted,
    names,
    round_of,
    secure_world,
)
from tests.end_to_end.federation.world import World


def unlinked(journal: Path) -> None:
    journal.unlink()


def emptied(journal: Path) -> None:
    journal.write_bytes(b"")


def cut_short(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-40])


def exchanged(journal: Path) -> None:
    journal.unlink()
    book = Journal(journal)
    book.append("", b"[]")
    book.close()


@pytest.mark.parametrize("budget", [{}, {"dp_epsilon": 1000, "clients_per_round": 4}])
@pytest.mark.parametrize(
    ("harm", "changes", "said"),
    [
        (unlinked, {}, "its journal is lost"),
        (emptied, {}, "its journal is lost"),
        (cut_short, {}, "ends before its sum"),
        (exchanged, {}, "its journal is lost"),
        (lambda _: None, {"at_least": 4}, "is of another round"),
    ],
)
def test_a_closed_round_whose_journal_is_of_no_use_is_abandoned_and_charged(
    harm: Callable[[Path], None],
    changes: dict[str, int],
    said: str,
    budget: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with secure_world(rounds=2, **budget, ring_bits=16) as it:
        it.start()
        # The process ends after it has entered that the round is closed, before there is a model.
        with monkeypatch.context() as patch:
            patch.setattr("aggregator.rounds.federation.next_model", full)
            it.settle(until=lambda: closed(it))
            assert it.server
            journal = it.server.federation.folder.secure_round(1)
            it.kill_server()
        harm(journal)
        it.settings = it.settings.model_copy(update=changes)
        it.settle()
        assert it.server
        ledger = it.server.federation.ledger
        record = ledger.round(1)
        assert record
        assert (record.state, said in record.note) == ("abandoned", True), record.note
        assert counted(it, 2) == names(EVERYBODY)
        assert ledger.charges()[0] == (2 if budget else 0)


def full(*_: object) -> None:
    raise StorageError.full_disk("models")


def closed(it: World) -> bool:
    record = it.server and it.server.federation.ledger.round(1)
    return bool(record and record.state == "closed")


def test_a_round_whose_devices_were_all_revoked_just_before_it_began_is_given_up() -> None:
    with secure_world(rounds=2) as it:
        it.start()
        assert it.server
        federation, stages = it.server.federation, it.server.service._stages
        assert stages
        keys, stages._keys = stages._keys, dict  # revoked, and nobody has looked since
        it.settle(until=lambda: federation.rounds.ended)
        record = federation.ledger.round(1)
        assert record
        assert "Nobody takes part in the secure round 1 any more" in record.note
        assert federation.rounds.phase == "waiting", "the next one is of the same devices"
        stages._keys = keys
        it.settle()
        assert check(it) == 1


def test_a_round_whose_devices_were_all_revoked_while_nobody_served_is_given_up() -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: it.server and it.server.federation.rounds.phase == "open")
        assert round_of(it) is None, "its journal has not begun"
        it.kill_server()
        with Members(it.settings.folder / "members.sqlite") as members:
            for name in names(EVERYBODY):
                revoke(members, name)
        it.start()
        it.settle(until=lambda: it.server and it.server.federation.rounds.ended)
        assert it.server
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.state == "abandoned"
