"""What becomes of a damaged store: it is noticed, set aside, and read as far as it can be."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from edge_client.device.store import ExampleStore
from edge_client.device.stored import is_whole, plausible, recognition_of
from shared.storage.files import storage_errors
from shared.storage.write_ahead import BUSY_SECONDS

# What SQLite calls a file that is not as we wrote it; SQLITE_ERROR: another table, or none.
_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ", "SQLITE_ERROR")

_BEFORE_TASKS: Final = {"names": "angry,happy,neutral,sad", "front_end": "paper34 1", "unsure": 0}
"""What a damaged file does not say that was not yet brought to a version with these columns."""


def damage(path: Path) -> str:
    """Look through the whole file; say what is damaged, empty if nothing is."""
    if not path.exists():
        return ""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            connection.execute("SELECT id, frames FROM examples LIMIT 1")
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(_DAMAGE):
            return "" if "no such table" in str(error) else str(error)
        return ""  # full, forbidden or busy: opening it will say so
    except UnicodeDecodeError as error:
        return str(error)
    return "" if found == "ok" else found.splitlines()[-1]


def is_new(path: Path) -> bool:
    """Say whether there is no store yet: no file, or one without tables."""
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            return not connection.execute("PRAGMA schema_version").fetchone()[0]
    except sqlite3.DatabaseError:
        return False  # full, forbidden or busy: opening it will say so


def set_aside(path: Path, now: datetime) -> Path:
    """Rename a damaged file, with its write-ahead log; give its new name.

    Only who has the state folder to itself may do this: a process that has the file open would go
    on writing to it.
    """
    aside = path.with_name(f"{path.stem}-damaged-{now:%Y%m%dT%H%M%S}{path.suffix}")
    with storage_errors(path):
        path.replace(aside)
        for end in ("-wal", "-shm"):
            log = path.with_name(path.name + end)
            if log.exists():
                log.replace(aside.with_name(aside.name + end))
    return aside


def salvage(store: ExampleStore, damaged: Path) -> int:
    """Take over what can still be read of a damaged file; give how many utterances."""
    rows = (row for row in readable_rows(damaged) if plausible(row) and is_whole(row))
    return store.take((recognition_of(row), row["frames"]) for row in rows)


def readable_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Read the rows of a damaged file, one by one, leaving out what is lost."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            last = _last_row(connection, path)
            for identifier in range(1, last + 1):
                try:
                    query = "SELECT * FROM examples WHERE id = ?"
                    row = connection.execute(query, (identifier,)).fetchone()
                except (sqlite3.DatabaseError, UnicodeDecodeError):
                    continue
                if row is not None:
                    yield _BEFORE_TASKS | dict(row)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return


def _last_row(connection: sqlite3.Connection, path: Path) -> int:
    for query in ("SELECT seq FROM sqlite_sequence", "SELECT max(id) FROM examples"):
        try:
            row = connection.execute(query).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row and isinstance(row[0], int) and row[0] < path.stat().st_size:
            return row[0]
    return path.stat().st_size // 256  # a row takes more than that
