"""The SQLite file under the store: opened, checked, and set aside when it is damaged."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shared.errors import StorageError
from shared.features import VERSION
from shared.files import storage_errors
from shared.write_ahead import BUSY_SECONDS, write_ahead

# What SQLite calls a file that is not as we wrote it; SQLITE_ERROR: another table, or none.
_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ", "SQLITE_ERROR")

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS examples (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- a number once given never means another utterance
        heard_at TEXT NOT NULL,                -- UTC, ISO 8601
        seconds REAL NOT NULL,
        source TEXT NOT NULL,                  -- mic, wav or import
        speaker TEXT,
        probabilities TEXT,                    -- JSON, four numbers; NULL: there was no model
        label TEXT,                            -- what the person said; never a guess
        discarded INTEGER NOT NULL DEFAULT 0,
        checksum INTEGER NOT NULL,             -- CRC-32 of frames: SQLite sees no changed byte
        frames BLOB NOT NULL                   -- float32, little-endian, (n, 34), not normalised
    );
    CREATE INDEX IF NOT EXISTS examples_counted ON examples (label, discarded);
    CREATE INDEX IF NOT EXISTS examples_same ON examples (checksum);
    CREATE INDEX IF NOT EXISTS examples_first_out ON examples (id)
        WHERE label IS NULL OR discarded;
    CREATE VIEW IF NOT EXISTS recognitions AS SELECT
        id, heard_at, seconds, source, speaker, probabilities, label, discarded FROM examples;
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for one connection that several threads take turns with.

    Raises
    ------
    StorageError
        As :func:`database_errors`.
    """
    with database_errors(path), storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(0o600)  # SQLite gives its log the same permissions
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            write_ahead(connection)
            # What is deleted is overwritten, and nothing of it is put into temporary files.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA journal_size_limit = 4000000")
            _check_version(connection, path)
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise unless the file is new, or holds features that mean what ours do."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise StorageError(
            f"{path} was written by another version of chorus-edge.",
            "Use that version, or give another --state.",
        )
    if not version:
        connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite complains about into a :class:`StorageError` with its remedy."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")):
            raise StorageError(
                f"The disk is full while writing {path}.",
                "Free some space: what was kept before is still there.",
            ) from error
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            raise StorageError(
                f"Cannot write {path}: {error}.", "Choose a folder you may write to (--state)."
            ) from error
        if name.startswith("SQLITE_BUSY"):
            raise StorageError(
                f"Another program keeps {path} to itself.", "End it, then try again."
            ) from error
        raise StorageError(
            f"{path} is damaged ({error}).",
            "`edge-client run` sets it aside and takes over what can still be read.",
        ) from error


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


def readable_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Read the rows of a damaged file, one by one, leaving out what is lost."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            last = _last_row(connection, path)
            for identifier in range(1, last + 1):
                try:
                    query = "SELECT * FROM examples WHERE id = ?"
                    row = connection.execute(query, (identifier,)).fetchone()
                except (sqlite3.DatabaseError, UnicodeDecodeError):
                    continue
                if row is not None:
                    yield row
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
