"""Reading the ledger: what happened, and where a model comes from."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from aggregator.ledger.database import copied_elsewhere, database_errors, open_for_reading
from aggregator.ledger.records import (
    ClientRecord,
    Refusal,
    RoundRecord,
    UpdateRecord,
    Version,
)
from shared.errors import FederationError
from shared.storage.files import is_locked, may_wait
from shared.storage.write_ahead import BUSY_SECONDS
from shared.task import Task
from shared.task_settings import TaskSettings

Record = TypeVar("Record", Version, RoundRecord, UpdateRecord, ClientRecord, Refusal)

_FLAGS: Final = ("present", "trains")
_JSON: Final = ("validation", "confusion", "invited", "settings")


class History:
    """All that is written in a ledger. Its methods may be called from several threads.

    Parameters
    ----------
    path
        The ledger's file; it may be written meanwhile.

    Raises
    ------
    FederationError
        If there is none, or it is damaged; so do the methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        self._connection = open_for_reading(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @property
    def run(self) -> str:
        """What tells this federation from others of the same name: 32 hexadecimal digits."""
        return str(self._fact("run"))

    @property
    def served(self) -> bool:
        """Whether a process serves the federation now."""
        return is_locked(self.path.with_name("lock"))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings it runs with, as JSON has them."""
        settings: dict[str, Any] = self._fact("settings")
        return settings

    @property
    def task(self) -> Task:
        """What it recognises."""
        settings = self.settings
        own = {name: settings[name] for name in TaskSettings.model_fields if name in settings}
        return TaskSettings.parse(own).task

    @property
    def paused(self) -> bool:
        """Whether no round is to open, until somebody says otherwise."""
        return self._row("SELECT value FROM facts WHERE name = 'paused'") is not None

    @property
    def changes(self) -> int:
        """A number that is another one once another connection has written."""
        return int(self._row("PRAGMA data_version")[0])

    @property
    def refused(self) -> int:
        """How much was refused in all, also what has made way for newer refusals."""
        return int(self._row("SELECT COALESCE(MAX(number), 0) FROM refusals")[0])

    def current(self) -> Version | None:
        """Give the current version of the global model; ``None`` before there is one."""
        return self._first(Version, "SELECT * FROM versions ORDER BY number DESC LIMIT 1")

    def version(self, number: int) -> Version:
        """Give a version by its number, which must be there."""
        found = self._first(Version, "SELECT * FROM versions WHERE number = ?", number)
        if not found:
            raise KeyError(number)
        return found

    def find(self, number: int | None) -> Version:
        """Give the model after round ``number`` (0: the initial one; ``None``: the current one).

        Raises
        ------
        FederationError
            If there is none.
        """
        if number is None:
            found = self.current()
        else:
            query = "SELECT * FROM versions WHERE round = ? AND origin != 'rollback'"
            found = self._first(Version, query, number)
        if not found:
            raise FederationError(
                f"The federation has no model after round {number or 0}.",
                "`aggregator models list` shows those it has.",
            )
        return found

    def charges(self) -> tuple[int, float]:
        """Say how many rounds a privacy budget was charged for, and the epsilon that is spent."""
        row = self._row("SELECT COUNT(*) AS rounds, MAX(epsilon) AS spent FROM charges")
        return row["rounds"], row["spent"] or 0.0

    def versions(self, limit: int = -1) -> list[Version]:
        """List the versions, the newest first; all, or as many as asked for."""
        return list(
            self._all(Version, "SELECT * FROM versions ORDER BY number DESC LIMIT ?", limit)
        )

    def ancestry(self, number: int) -> Iterator[Version]:
        """Go from a version to the first: each is computed from the one after it."""
        following: int | None = number
        while following is not None:
            version = self.version(following)
            yield version
            following = version.parent

    def forgotten(self) -> list[tuple[int, int]]:
        """List the ended rounds that the current model is not made of: first and last of each row.

        Those that were abandoned, and those that a rollback has taken back.
        """
        query = """
            WITH RECURSIVE line (parent, round) AS (
                SELECT parent, round FROM versions
                WHERE number = (SELECT MAX(number) FROM versions)
                UNION ALL SELECT versions.parent, versions.round
                FROM versions JOIN line ON versions.number = line.parent
            )
            SELECT number FROM rounds WHERE ended IS NOT NULL
            AND number NOT IN (SELECT round FROM line) ORDER BY number
        """
        rows: list[tuple[int, int]] = []
        with self._mutex, database_errors(self.path):
            found = self._connection.execute(query).fetchall()
        for (number,) in found:
            if rows and rows[-1][1] == number - 1:
                rows[-1] = (rows[-1][0], number)
            else:
                rows.append((number, number))
        return rows

    def round(self, number: int) -> RoundRecord | None:
        """Give a round; ``None`` if it has not been opened."""
        return self._first(RoundRecord, "SELECT * FROM rounds WHERE number = ?", number)

    def last_round(self) -> RoundRecord | None:
        """Give the newest round; ``None`` before the first."""
        return self._first(RoundRecord, "SELECT * FROM rounds ORDER BY number DESC LIMIT 1")

    def rounds(self, limit: int = -1) -> list[RoundRecord]:
        """List the rounds, the newest first; all, or as many as asked for."""
        return list(
            self._all(RoundRecord, "SELECT * FROM rounds ORDER BY number DESC LIMIT ?", limit)
        )

    def updates(self, number: int) -> list[UpdateRecord]:
        """List a round's accepted updates, in the order of the clients' names."""
        return list(
            self._all(UpdateRecord, "SELECT * FROM updates WHERE round = ? ORDER BY client", number)
        )

    def update(self, number: int, client: str) -> UpdateRecord | None:
        """Give a client's accepted update of a round; ``None`` if there is none."""
        return self._first(
            UpdateRecord, "SELECT * FROM updates WHERE round = ? AND client = ?", number, client
        )

    def clients(self) -> list[ClientRecord]:
        """List all clients ever seen, by name."""
        return list(
            self._all(
                ClientRecord,
                # The column is older than the word; another name would need a migration.
                "SELECT name, present, trains, examples, supply, software, heard AS last_seen, "
                "bytes_up, bytes_down, updates FROM clients ORDER BY name",
            )
        )

    def refusals(self, limit: int = -1) -> list[Refusal]:
        """List what was refused, the newest first."""
        return list(
            self._all(
                Refusal,
                "SELECT at, client, round, digest, reason, sentence FROM refusals "
                "ORDER BY number DESC LIMIT ?",
                limit,
            )
        )

    def update_totals(self) -> tuple[int, int]:
        """Count all accepted updates, and the bytes of their files."""
        row = self._row("SELECT COUNT(*), TOTAL(bytes) FROM updates")
        return int(row[0]), int(row[1])

    def copy_to(self, path: Path) -> None:
        """Write the ledger, as it is at one moment, to a file that is empty or not there yet.

        Raises
        ------
        OSError
            If there is no room for it.
        """
        with self._mutex, database_errors(self.path), copied_elsewhere():
            self._connection.execute("VACUUM INTO ?", (str(path),))

    def _fact(self, name: str) -> Any:
        row = self._row("SELECT value FROM facts WHERE name = ?", name)
        if row is None:
            raise FederationError(
                f"The ledger {self.path} has been begun, but never served.",
                "Start `aggregator serve` with it.",
            )
        return json.loads(row["value"])

    def _row(self, query: str, *values: Any) -> Any:
        with self._mutex, database_errors(self.path):
            return self._connection.execute(query, values).fetchone()

    def _first(self, kind: type[Record], query: str, *values: Any) -> Record | None:
        return next(self._all(kind, query, *values), None)

    def _all(self, kind: type[Record], query: str, *values: Any) -> Iterator[Record]:
        with self._mutex, database_errors(self.path):
            rows = self._connection.execute(query, values).fetchall()
        return (kind(**_values(row)) for row in map(dict, rows))


def begun_with(path: Path) -> dict[str, Any]:
    """Read the settings that a ledger was begun with, of whatever version, also on a full disk.

    Returns
    -------
    dict
        As JSON has them; empty if there are none that can be read.
    """
    if may_wait(path):
        return {}
    for how in ("mode=ro", "immutable=1"):  # the latter needs no room for a file beside it
        with suppress(sqlite3.DatabaseError, ValueError, TypeError):
            uri = f"{path.absolute().as_uri()}?{how}"
            with closing(sqlite3.connect(uri, timeout=BUSY_SECONDS, uri=True)) as connection:
                row = connection.execute("SELECT value FROM facts WHERE name = 'settings'")
                return dict(json.loads(row.fetchone()[0]))
    return {}


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Take the values of a row as its record has them."""
    values = dict(row)
    for name in _JSON:
        if values.get(name) is not None:
            values[name] = json.loads(values[name])
    for name in _FLAGS:
        if name in values:
            values[name] = bool(values[name])
    if "invited" in values:
        values["invited"] = tuple(values["invited"])
    return values
