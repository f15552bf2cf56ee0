"""A secure round's journal: whole entries only, and no other round's."""

import dataclasses
from contextlib import suppress
from pathlib import Path

import pytest

from aggregator.secure.journal import ENTRY_HEAD, DamagedJournalError, Journal
from aggregator.secure.round import SecureRound
from shared.errors import SecureError, StorageError
from shared.secure.terms import Stage
from tests.secure_rounds import TERMS, Federation

ENTRIES = [("", b"begins"), ("kitchen", b"\0\xff" * 9), ("desk", b""), ("", b"ends")]


def written(path: Path) -> bytes:
    journal = Journal(path)
    assert not list(journal.entries())
    for name, message in ENTRIES:
        journal.append(name, message)
    journal.close()
    return path.read_bytes()


def test_what_was_added_is_there_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "journal"
    written(path)
    assert path.stat().st_mode & 0o777 == 0o600
    journal = Journal(path)
    assert list(journal.entries()) == ENTRIES
    journal.append("desk", b"more")
    assert list(Journal(path).entries()) == [*ENTRIES, ("desk", b"more")]
    journal.discard()
    assert not path.exists()


def test_an_entry_that_is_not_whole_ends_it_and_is_cut_off(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole")
    path = tmp_path / "journal"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        journal = Journal(path)
        there = list(journal.entries())
        assert there == ENTRIES[: len(there)]
        assert len(there) < len(ENTRIES)
        for name, message in ENTRIES[len(there) :]:
            journal.append(name, message)
        journal.close()
        assert path.read_bytes() == whole


def test_a_changed_byte_ends_it(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole")
    path = tmp_path / "journal"
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        there: list[tuple[str, bytes]] = []
        with suppress(DamagedJournalError):
            there.extend(Journal(path).entries())
        assert there == ENTRIES[: len(there)]
        assert len(there) < len(ENTRIES)


def test_what_stands_behind_a_damaged_entry_is_not_lost_in_silence(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 3)
    federation.run(until=Stage.MASKED)
    path = tmp_path / "journal"
    whole = path.read_bytes()
    second = ENTRY_HEAD.size + ENTRY_HEAD.unpack_from(whole)[0]
    lengths = (*range(4), *range(second, second + 4))
    for place in (*lengths, ENTRY_HEAD.size, second - 1, second + ENTRY_HEAD.size, second + 99):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        path.write_bytes(changed)
        with pytest.raises(SecureError, match="is damaged"):
            federation.begun()
        assert path.read_bytes() == changed


def test_zeros_at_the_end_are_cut_off(tmp_path: Path) -> None:
    """As a power cut may leave them: the file is longer, and what was written is not there."""
    whole = written(tmp_path / "journal")
    for count in (1, 7, 8, 9, 4096):
        (tmp_path / "journal").write_bytes(whole + bytes(count))
        assert list(Journal(tmp_path / "journal").entries()) == ENTRIES
        assert (tmp_path / "journal").read_bytes() == whole


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot write"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stranger", b"{}"),
        ("device-00", b"{}"),
        ("", b'{"closed": "masked", "there": ["device-00"]}'),
        ("", b""),
    ],
)
def test_what_cannot_have_been_taken_is_not_gone_on_with(
    name: str, message: bytes, tmp_path: Path
) -> None:
    federation = Federation(tmp_path, 3)
    federation.run(until=Stage.MASKED)
    journal = Journal(tmp_path / "journal")
    list(journal.entries())
    journal.append(name, message)
    with pytest.raises(SecureError, match="is damaged"):
        federation.begun()


def test_a_journal_is_of_one_round(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 3)
    other = dataclasses.replace(TERMS, bits=13)
    with pytest.raises(SecureError, match="is of another round"):
        SecureRound(other, federation.known, Journal(tmp_path / "journal"))
    path = tmp_path / "nonsense"
    Journal(path).append("", b"[]")
    with pytest.raises(SecureError, match="is damaged"):
        SecureRound(TERMS, federation.known, Journal(path))


def test_who_was_revoked_since_is_still_in_the_round_that_had_begun(tmp_path: Path) -> None:
    federation = Federation(tmp_path, 4)
    federation.run(until=Stage.MASKED)
    fewer = {name: key for name, key in federation.known.items() if name != "device-03"}
    again = SecureRound(TERMS, fewer, Journal(tmp_path / "journal"))
    assert "device-03" in again.awaited
