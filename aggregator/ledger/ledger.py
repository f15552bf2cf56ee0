"""Writing the ledger: each step of a federation is one transaction, safe when it returns."""

import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from aggregator.ledger import sightings
from aggregator.ledger.database import database_errors, open_for_writing
from aggregator.ledger.filling import refuse_unfinished
from aggregator.ledger.history import History
from aggregator.ledger.records import CheckedUpdate, Counts, Model, Origin, Version
from aggregator.settings import AggregatorSettings
from shared.errors import FederationError
from shared.storage.files import lock, storage_errors

log = logging.getLogger(__name__)

MOST_REFUSALS: Final = 1000
"""Refusals kept; the oldest make way."""


class Ledger(History):
    """The ledger of a federation, for the one process that writes it.

    Its methods may be called from several threads.

    Parameters
    ----------
    path
        The ledger's file; it is made if there is none. ``lock`` beside it is locked until
        :meth:`close`.
    clock
        Gives the time, in seconds since 1970; for tests.

    Raises
    ------
    FederationError
        If another process writes it, it is damaged, was written by a newer version, or is still to
        be put back from a backup.
    StorageError
        If the disk is full or the folder cannot be written; so do the methods. What a method was
        to write is then not written at all.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._seen: dict[str, dict[str, Any]] = {}
        self._nobody_seen = False
        self._mutex = threading.RLock()
        with storage_errors(path):
            refuse_unfinished(path.parent, path.name)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._locked = lock(
            path.with_name("lock"),
            FederationError(
                f"The federation in {path.parent} is in use by another process.",
                "Stop the other `aggregator serve`, or give another --state.",
            ),
        )
        try:
            self._connection = open_for_writing(path)
        except BaseException:
            os.close(self._locked)
            raise

    def close(self) -> None:
        """Write what is left, let go of the file, and unlock it."""
        try:
            self.flush()
        finally:
            self._connection.close()
            os.close(self._locked)

    def begin(self, settings: AggregatorSettings) -> None:
        """Enter the settings; on a ledger that has some, only what does not change the result.

        Raises
        ------
        FederationError
            If another value would change the result.
        """
        values = settings.model_dump(mode="json")
        with self._transaction() as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = 'settings'").fetchone()
            begun = json.loads(row["value"]) if row else None
            if begun is not None and (name := settings.first_change(begun)):
                raise FederationError(
                    f"The federation in {self.path.parent} was begun with {name} = "
                    f"{begun.get(name)!r}, not {values[name]!r}.",
                    "Give the settings it was begun with, or another --state.",
                )
            connection.execute(
                "INSERT OR IGNORE INTO facts VALUES ('run', ?)", (json.dumps(_new_run()),)
            )
            connection.execute(
                "INSERT OR REPLACE INTO facts VALUES ('settings', ?)", (json.dumps(values),)
            )
            connection.execute(_NOBODY_THERE)

    def pause(self, *, paused: bool) -> None:
        """Enter whether no round is to open from now on."""
        with self._transaction() as connection:
            if paused:
                connection.execute("INSERT OR REPLACE INTO facts VALUES ('paused', 'true')")
            else:
                connection.execute("DELETE FROM facts WHERE name = 'paused'")

    def forget_present(self) -> None:
        """Note that it is not known who is there: those who are will be seen again.

        On a full disk it is written with what comes next.
        """
        with self._mutex:
            for facts in self._seen.values():
                facts.pop("present", None)
            self._nobody_seen = True
            self.flush()

    def add_initial(self, model: Model) -> Version:
        """Enter the model that the federation begins with; its file must be safe."""
        with self._transaction() as connection:
            return self._add_version(connection, "initial", 0, None, model)

    def open_round(
        self, number: int, invited: Sequence[str], wanted: int, settings: dict[str, Any]
    ) -> None:
        """Enter a round that is to be announced, or more invitations to the open one.

        Parameters
        ----------
        number
            The round.
        invited
            All clients invited.
        wanted
            Updates wanted.
        settings
            As in :class:`~aggregator.ledger.records.RoundRecord`.
        """
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO rounds (number, state, base, invited, wanted, settings, opened) "
                "VALUES (?, 'open', (SELECT MAX(number) FROM versions), ?, ?, ?, ?) "
                "ON CONFLICT (number) DO UPDATE SET invited = excluded.invited",
                (number, json.dumps(list(invited)), wanted, json.dumps(settings), self._clock()),
            )

    def accept(self, update: CheckedUpdate) -> None:
        """Enter an update that counts from now on; its file must be safe.

        Raises
        ------
        ValueError
            If its round is not open, or the client has one there: the caller did not ask.
        """
        with self._transaction() as connection:
            state = connection.execute(
                "SELECT state FROM rounds WHERE number = ?", (update.round,)
            ).fetchone()
            if state is None or state["state"] != "open":
                raise ValueError(f"round {update.round} is not open")
            try:
                connection.execute(
                    "INSERT INTO updates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        update.round,
                        update.client,
                        update.digest,
                        update.bytes,
                        update.codec,
                        update.examples,
                        update.norm,
                        update.loss,
                        _json(update.confusion),
                        self._clock(),
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise ValueError(f"{update.client} has an update in this round") from error
            seen = {"updates": 1, "examples": update.examples}
            sightings.enter(connection, update.client, seen, self._clock())

    def withdraw(self, number: int, client: str, invited: Sequence[str]) -> None:
        """Enter that a client was shut out of an open round, whose update counts no more.

        Without anybody ``invited`` any more, the round is given up.
        """
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM updates WHERE round = ? AND client = ?", (number, client)
            )
            connection.execute(
                "UPDATE rounds SET invited = ? WHERE number = ?", (json.dumps(invited), number)
            )
            if not invited:
                self._abandon(connection, "its clients were shut out", None)

    def close_round(self, number: int) -> None:
        """Enter that a round takes no more updates."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE rounds SET state = 'closed' WHERE number = ? AND state = 'open'", (number,)
            )

    def finish_round(
        self,
        number: int,
        model: Model,
        *,
        loss: float | None,
        confusion: Counts | None,
        seconds: float,
        note: str = "",
        spent: float | None = None,
    ) -> Version:
        """Enter a closed round's result, and make it the current model, in one step.

        Parameters
        ----------
        number
            The round.
        model
            The new model; its files must be safe.
        loss, confusion, seconds, note
            As in :class:`~aggregator.ledger.records.RoundRecord`.
        spent
            The epsilon that all charged rounds have cost with this one, where the model has noise.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "UPDATE rounds SET state = 'done', ended = ?, loss = ?, confusion = ?, "
                "seconds = ?, note = ? WHERE number = ? AND state = 'closed' RETURNING base",
                (self._clock(), loss, _json(confusion), seconds, note, number),
            ).fetchone()
            if row is None:
                raise ValueError(f"round {number} is not closed")
            self._charge(connection, number, spent)
            return self._add_version(connection, "round", number, row["base"], model)

    def abandon_round(self, number: int, note: str, *, spent: float | None = None) -> None:
        """Enter that a round under way was given up, and why; the model stays as it is.

        ``spent`` is as in :meth:`finish_round`, where it cost something all the same.
        """
        with self._transaction() as connection:
            self._abandon(connection, note, spent, number)

    def _charge(self, connection: sqlite3.Connection, number: int, spent: float | None) -> None:
        if spent is not None:
            connection.execute(
                "INSERT OR IGNORE INTO charges VALUES (?, ?, ?)", (number, spent, self._clock())
            )

    def roll_back(self, to: Version, *, spent: float | None = None) -> Version:
        """Make an earlier model current again, with all that is given to belong to it.

        A round under way is abandoned: its updates are differences to another model. ``spent`` is
        as in :meth:`abandon_round`.
        """
        with self._transaction() as connection:
            self._abandon(connection, f"rolled back to the model of round {to.round}", spent)
            return self._add_version(connection, "rollback", to.round, to.number, to)

    def begin_another_run(self, why: str, *, spent: float | None = None) -> None:
        """Give the federation another identity; a round under way is abandoned.

        Clients may know more of the run before than this ledger does. In the new one their control
        variates begin anew, and so does the model's. ``spent`` is as in :meth:`abandon_round`.
        """
        with self._transaction() as connection:
            self._abandon(connection, why, spent)
            connection.execute(
                "UPDATE facts SET value = ? WHERE name = 'run'", (json.dumps(_new_run()),)
            )
            connection.execute(
                "UPDATE versions SET control = NULL "
                "WHERE number = (SELECT MAX(number) FROM versions)"
            )

    def _abandon(
        self,
        connection: sqlite3.Connection,
        note: str,
        spent: float | None,
        number: int | None = None,
    ) -> None:
        """Give up the round under way, if there is one, and only ``number`` if that is given."""
        row = connection.execute(
            "UPDATE rounds SET state = 'abandoned', ended = ?, note = ? "
            "WHERE state IN ('open', 'closed') AND number = COALESCE(?, number) RETURNING number",
            (self._clock(), note, number),
        ).fetchone()
        if row is not None:
            self._charge(connection, row["number"], spent)

    def see(self, client: str, **facts: Any) -> None:
        """Note that a client was seen; it is written with what comes next, or by :meth:`flush`.

        Parameters
        ----------
        client
            Its name.
        **facts
            Fields of :class:`~aggregator.ledger.records.ClientRecord`: ``present``, ``trains``,
            ``examples``, ``supply`` and ``software`` replace what was known; ``bytes_up``,
            ``bytes_down`` are added to it.
        """
        with self._mutex:
            sightings.note(self._seen, client, facts, self._clock())

    def refuse(
        self, client: str, reason: str, sentence: str, number: int | None, digest: str | None
    ) -> None:
        """Enter that something of a client was refused."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO refusals (at, client, round, digest, reason, sentence) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (self._clock(), client, number, digest, reason, sentence),
            )
            connection.execute(
                "DELETE FROM refusals WHERE number <= (SELECT MAX(number) FROM refusals) - ?",
                (MOST_REFUSALS,),
            )

    def flush(self) -> None:
        """Write what was seen of clients."""
        if self._seen or self._nobody_seen:
            with self._transaction():
                pass

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of it or nothing, and what was seen of clients with it."""
        connection = self._connection
        with self._mutex, database_errors(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                if self._nobody_seen:
                    connection.execute(_NOBODY_THERE)
                for client, facts in self._seen.items():
                    sightings.enter(connection, client, facts, self._clock())
                if self._seen:
                    sightings.forget(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._seen.clear()
            self._nobody_seen = False

    def _add_version(
        self,
        connection: sqlite3.Connection,
        origin: Origin,
        number: int,
        parent: int | None,
        model: Model,
    ) -> Version:
        row = connection.execute(
            "INSERT INTO versions (origin, round, parent, digest, bytes, difference, average, "
            "control, memory, statistics, validation, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "RETURNING number",
            (
                origin,
                number,
                parent,
                model.digest,
                model.bytes,
                model.difference,
                model.average,
                model.control,
                model.memory,
                model.statistics,
                _json(model.validation),
                self._clock(),
            ),
        ).fetchone()
        return self.version(row["number"])


def _new_run() -> str:
    return uuid.uuid4().hex


_NOBODY_THERE: Final = "UPDATE clients SET present = 0"


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)
