"""How the store's file came to be as it is: one numbered step a file, none ever changed."""

import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

from shared.errors import StorageError


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the store to the newest version: each step is done whole or not at all.

    The version is SQLite's ``user_version``, the number of the last step that was taken.

    Parameters
    ----------
    connection
        The store, outside a transaction.
    path
        What to call it where it cannot be.

    Raises
    ------
    StorageError
        If a newer version of this program has written it.
    """
    steps = _steps()
    if version_of(connection) > max(steps):
        raise StorageError(
            f"{path} was written by another version of chorus-edge, which is newer than this one.",
            "Use that version, or give another --state.",
        )
    for number, script in steps.items():
        if version_of(connection) < number:
            _take(connection, number, script)


def version_of(connection: sqlite3.Connection) -> int:
    """Read which step was taken last; 0 if none was."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    # The first version was noted before its tables were made, one by one: these may be missing.
    # Making those that are there does no harm.
    query = "SELECT count(*) FROM sqlite_schema WHERE name = 'facts'"
    return version if version != 1 or connection.execute(query).fetchone()[0] else 0


def _take(connection: sqlite3.Connection, number: int, script: str) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster.
        if version_of(connection) < number:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@cache
def _steps() -> dict[int, str]:
    """Read the steps, by their numbers, the first of them first."""
    scripts = (file for file in files(__name__).iterdir() if file.name.endswith(".sql"))
    return dict(sorted((int(file.name[:4]), file.read_text("utf-8")) for file in scripts))


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
