"""What becomes of a damaged store: it is noticed, set aside, and read as far as it can be."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from edge_client.device.erasing import erase_store, opened, with_logs
from edge_client.device.state import DAMAGED, SALVAGED
from edge_client.device.store import ExampleStore
from edge_client.device.stored import is_whole, plausible, recognition_of
from shared.storage.files import storage_errors, sync_folder

# What SQLite calls a file that is not as we wrote it; SQLITE_ERROR: another table, or none.
_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ", "SQLITE_ERROR")

_BEFORE_TASKS: Final = {"names": "angry,happy,neutral,sad", "front_end": "paper34 1", "unsure": 0}
"""What a damaged file does not say that was not yet brought to a version with these columns."""


def damage(path: Path) -> str:
    """Look through the whole file; say what is damaged, empty if nothing is."""
    if not path.exists():
        return ""
    try:
        with closing(opened(path)) as connection:
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
        with closing(opened(path)) as connection:
            return not connection.execute("PRAGMA schema_version").fetchone()[0]
    except sqlite3.DatabaseError:
        return False  # full, forbidden or busy: opening it will say so


def replace_damaged(
    path: Path, now: datetime, make: Callable[[Path], ExampleStore]
) -> tuple[Path, str] | None:
    """Put a new store with what can still be read in the place of a damaged one, if it is damaged.

    The damaged file stays in its place until the new one is whole, and is renamed then. So whatever
    ends this, be it a full disk or a kill, the next call does it all again, or what was left to do.
    Only who has the state folder to itself may call this: a process that has the file open would go
    on writing to it.

    Parameters
    ----------
    path
        The store's file.
    now
        The damaged file is named after it.
    make
        Makes the new store.

    Returns
    -------
    (pathlib.Path, str) or None
        Where the damaged file is now, and what was damaged in it, in brackets; empty if an earlier
        call had found that. ``None`` if nothing was damaged.

    Raises
    ------
    StorageError
        If the disk is full, the folder cannot be written, or there is no room in the new store.
    """
    found = ""
    exchange = _interrupted(path, now)
    if exchange is None:
        if not (found := damage(path)):
            return None
        exchange = made, _ = _free_names(path, now)
        try:
            with make(made) as store:
                salvage(store, path)
            sync_folder(path.parent)
        except BaseException:
            erase_store(made)  # a full disk needs the room
            raise
    _exchange(path, *exchange)
    return exchange[1], found and f" ({found})"


def in_the_making(path: Path) -> list[Path]:
    """List new files that have not come into the place of a damaged one."""
    return sorted(path.parent.glob(f"{path.stem}-{SALVAGED}-*{path.suffix}"))


def _interrupted(path: Path, now: datetime) -> tuple[Path, Path] | None:
    """Find the new file and the name of the damaged one, if a kill came while they were exchanged.

    A new file beside which nothing is renamed yet may not be whole: it is removed.
    """
    for made in in_the_making(path):
        aside = made.with_name(made.name.replace(f"-{SALVAGED}-", f"-{DAMAGED}-"))
        if any(file.exists() for file in with_logs(aside)):
            # A program that looked into the empty place meanwhile has made a store there.
            return made, _free_names(path, now)[1] if path.exists() and aside.exists() else aside
        erase_store(made)
    return None


def _exchange(path: Path, made: Path, aside: Path) -> None:
    """Rename a damaged file with its logs, these first; then the new file to the old name."""
    with storage_errors(path):
        for file, kept in zip(with_logs(path), with_logs(aside), strict=True):
            if file.exists():
                file.replace(kept)
        sync_folder(path.parent)
        made.replace(path)
        sync_folder(path.parent)


def _free_names(path: Path, now: datetime) -> tuple[Path, Path]:
    """Name a new file and a damaged one: a clock may show the same time again."""
    for number in count(1):
        when = f"{now:%Y%m%dT%H%M%S}" + (f"-{number}" if number > 1 else "")
        made, aside = (
            path.with_name(f"{path.stem}-{what}-{when}{path.suffix}")
            for what in (SALVAGED, DAMAGED)
        )
        if not any(file.exists() for file in (*with_logs(made), *with_logs(aside))):
            break
    return made, aside


def salvage(store: ExampleStore, damaged: Path) -> None:
    """Take what can still be read of a damaged file into a new store, with its numbers."""
    rows = (row for row in readable_rows(damaged) if plausible(row) and is_whole(row))
    store.take_back(((recognition_of(row), row["frames"]) for row in rows), last_number(damaged))


def readable_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Read the rows of a damaged file, one by one, leaving out what is lost."""
    try:
        with closing(opened(path)) as connection:
            connection.row_factory = sqlite3.Row
            last = _last_number(connection, path)
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


def last_number(path: Path) -> int:
    """Say which number a damaged file may have given last: that, or a larger one."""
    try:
        with closing(opened(path)) as connection:
            return _last_number(connection, path)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return 0


def _last_number(connection: sqlite3.Connection, path: Path) -> int:
    for query in ("SELECT seq FROM sqlite_sequence", "SELECT max(id) FROM examples"):
        try:
            row = connection.execute(query).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row and isinstance(row[0], int) and row[0] < path.stat().st_size:
            return row[0]
    return path.stat().st_size // 256  # a row takes more than that
