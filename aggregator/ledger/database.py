"""The SQLite file of a ledger: tables and their versions, opening it, what can be wrong with it."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from shared.errors import FederationError, StorageError
from shared.storage.files import refuse_pipe
from shared.storage.write_ahead import BUSY_SECONDS, NO_ROOM, write_ahead

_FIRST: Final = """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE versions (
        number INTEGER PRIMARY KEY,
        origin TEXT NOT NULL,
        round INTEGER NOT NULL,
        parent INTEGER REFERENCES versions,
        digest TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        average TEXT,
        control TEXT,
        memory TEXT,
        validation TEXT,  -- JSON, as are confusion, invited and settings
        created REAL NOT NULL
    );
    CREATE TABLE rounds (
        number INTEGER PRIMARY KEY,
        state TEXT NOT NULL,
        base INTEGER NOT NULL REFERENCES versions,
        invited TEXT NOT NULL,
        wanted INTEGER NOT NULL,
        settings TEXT NOT NULL,
        opened REAL NOT NULL,
        ended REAL,
        note TEXT NOT NULL DEFAULT '',
        loss REAL,
        confusion TEXT,
        seconds REAL
    );
    CREATE TABLE updates (
        round INTEGER NOT NULL REFERENCES rounds,
        client TEXT NOT NULL,
        digest TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        codec TEXT NOT NULL,
        examples INTEGER NOT NULL,
        norm REAL NOT NULL,
        loss REAL,
        confusion TEXT,
        accepted REAL NOT NULL,
        PRIMARY KEY (round, client)  -- a client counts once
    );
    CREATE TABLE clients (
        name TEXT PRIMARY KEY,
        present INTEGER NOT NULL DEFAULT 0,
        trains INTEGER NOT NULL DEFAULT 0,
        examples INTEGER NOT NULL DEFAULT 0,
        software TEXT NOT NULL DEFAULT '',
        heard REAL NOT NULL,
        bytes_up INTEGER NOT NULL DEFAULT 0,
        bytes_down INTEGER NOT NULL DEFAULT 0,
        updates INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE refusals (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        client TEXT NOT NULL,
        round INTEGER,
        digest TEXT,
        reason TEXT NOT NULL,
        sentence TEXT NOT NULL
    );
"""

_SUPPLY: Final = """
    -- What a client says of its labelled examples, before an update says how many.
    ALTER TABLE clients ADD COLUMN supply TEXT NOT NULL DEFAULT '';
"""

_BUDGET: Final = """
    -- What the models of rounds have cost of a privacy budget; nothing is ever taken back.
    CREATE TABLE charges (
        round INTEGER PRIMARY KEY REFERENCES rounds,
        epsilon REAL NOT NULL,  -- of all charges so far together
        charged REAL NOT NULL
    );
"""

_STATISTICS: Final = """
    -- Digest of the file with what devices' statistics begin with.
    ALTER TABLE versions ADD COLUMN statistics TEXT;
"""

_DIFFERENCE: Final = """
    -- The file of a model's difference to that of its parent.
    ALTER TABLE versions ADD COLUMN difference TEXT;
"""

_MIGRATIONS: Final = (_FIRST, _SUPPLY, _BUDGET, _STATISTICS, _DIFFERENCE)
"""What makes each version of the tables of the one before; never changed, only added to."""


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file into a :class:`FederationError` or :class:`StorageError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(NO_ROOM):
            raise StorageError.full_disk(path) from error
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise FederationError(f"{path} is held by another process.", "Try again.") from error
        raise StorageError(f"Cannot use {path}: {error}.") from error
    except sqlite3.IntegrityError:
        raise  # a mistake of ours, not of the file
    except sqlite3.DatabaseError as error:
        raise FederationError(
            f"The ledger {path} is damaged ({error}).",
            "Bring the state folder back from a copy, or begin anew with another --state.",
        ) from error


@contextmanager
def copied_elsewhere() -> Iterator[None]:
    """Let a full disk be an :class:`OSError`: it is that of the copy, whose writer names it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(NO_ROOM):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the ledger, make it if there is none, and bring its tables to this version.

    Raises
    ------
    FederationError
        If it is damaged, or was written by a newer version.
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with database_errors(path):
        connection = _connect(path, "rwc")
        try:
            write_ahead(connection)
            # What was acknowledged survives a power cut.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            for number in range(_version(connection, path), len(_MIGRATIONS)):
                connection.executescript(
                    f"BEGIN IMMEDIATE; {_MIGRATIONS[number]} "
                    f"PRAGMA user_version = {number + 1}; COMMIT;"
                )
        except BaseException:
            connection.close()
            raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the ledger to look at, whether a process writes it or not.

    Raises
    ------
    FederationError
        If there is none, or it is damaged or of another version.
    """
    if not path.exists():
        raise FederationError(
            f"There is no federation in {path.parent}.",
            "Give the folder of `aggregator serve` as --state.",
        )
    with database_errors(path):
        connection = _connect(path, "ro")
        try:
            version = _version(connection, path)
        except BaseException:
            connection.close()
            raise
    if version < len(_MIGRATIONS):
        connection.close()
        raise FederationError(
            f"The ledger {path} is of an older version.",
            "Start `aggregator serve` on it once: it brings it up to date.",
        )
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    refuse_pipe(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Read the version of the tables; refuse one that is newer than ours."""
    with closing(connection.execute("PRAGMA user_version")) as cursor:
        version: int = cursor.fetchone()[0]
    if version > len(_MIGRATIONS):
        raise FederationError(
            f"The ledger {path} was written by a newer version of chorus-edge.",
            "Install that version again, or begin anew with another --state.",
        )
    return version
