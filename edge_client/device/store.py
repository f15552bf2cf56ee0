"""The examples a device keeps: features of what it heard, and what the person said of them."""

import json
import sqlite3
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from edge_client.device.database import Database, set_fact
from edge_client.device.queries import Queries
from edge_client.device.sounds import SoundFolder
from edge_client.device.stored import INSERT, encode, row_of
from edge_client.device.stored_utterance import StoredUtterance
from shared.audio import Samples
from shared.errors import ChorusError, StorageError
from shared.frames import Frames
from shared.task import DEFAULT_TASK, LONGEST_NAME, Task

UNDONE: Final = 100
"""Steps that can be undone."""

_ROW_BYTES: Final = 4 * 4096
"""What a row takes besides its frames, at most: its page, and one of each index."""

_Before = tuple[int, str | None, int]
"""An utterance, its label and whether it was discarded."""


class ExampleStore(Queries):
    """A device's examples in one SQLite file, which other processes may read at the same time.

    What the person said is on the disk when a method returns, and survives a power cut; an
    utterance nobody has labelled survives ``kill -9``.

    A store may hold utterances of other tasks: those of another front end are kept, but cannot be
    learned from; so are those to which the person gave a label that the task does not have.

    Parameters
    ----------
    path
        The file; made if it is not there.
    limit_mb
        Megabytes it may take. The oldest unlabelled or discarded utterances make way; labelled
        ones never do.
    task
        What it is used for; what a device has used it for last if not given.
    sounds
        Where the sound is kept, if it is.

    Attributes
    ----------
    task
        What it is used for.

    Raises
    ------
    StorageError
        If the file is damaged or cannot be written; so do all methods, and change nothing then.
    """

    def __init__(
        self,
        path: Path,
        *,
        limit_mb: float,
        task: Task | None = None,
        sounds: SoundFolder | None = None,
    ) -> None:
        self.path = path
        self._limit = int(limit_mb * 1_000_000)
        self._sounds = sounds
        self._done: deque[_Before] = deque(maxlen=UNDONE)
        database = Database(path)
        super().__init__(database, task or _last_task(database))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(
        self,
        recognition: StoredUtterance,
        frames: Frames,
        *,
        statistics: dict[str, Any] | None = None,
    ) -> int:
        """Keep an utterance.

        Parameters
        ----------
        recognition
            What is known of it; its identifier is not looked at.
        frames
            Shape ``(n, features)``, float32, not normalised.
        statistics
            The device's running statistics after it, kept in the same transaction.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        StorageError
            If the store is full of labelled utterances, or the disk is full.
        """
        with self._database.writing() as connection:
            gone = self._make_room(connection, frames.nbytes)
            identifier = _insert(connection, row_of(recognition, encode(frames)))
            if statistics is not None:
                set_fact(connection, self._statistics_name, statistics)
            self._forget_sounds(gone)
        return identifier

    def keep_sound(self, identifier: int, samples: Samples) -> None:
        """Keep an utterance's sound, where the store has a folder for it."""
        if self._sounds is not None:
            self._sounds.keep(identifier, samples)

    def label(self, identifier: int, label: str) -> StoredUtterance:
        """Note what the person said it is; one that was discarded is taken up again."""
        if label not in self.task.index:
            raise ChorusError(
                f"There is no label {label[:LONGEST_NAME]} here.",
                f"There are: {', '.join(self.task.names)}.",
            )
        return self._change(identifier, label, 0)

    def recognise(
        self, identifier: int, probabilities: tuple[float, ...], *, unsure: bool
    ) -> StoredUtterance:
        """Note what an utterance was recognised as when more was known of it."""
        query = "UPDATE examples SET probabilities = ?, unsure = ? WHERE id = ?"
        with self._database.writing() as connection:
            connection.execute(query, (json.dumps(probabilities), int(unsure), identifier))
        return self.get(identifier)

    def discard(self, identifier: int) -> StoredUtterance:
        """Leave an utterance out of everything; its sound is deleted at once."""
        return self._change(identifier, self.get(identifier).label, 1)

    def undo(self) -> StoredUtterance | None:
        """Take back the last label or discarding; ``None`` if there is none to take back."""
        with self._database.lock:
            while self._done:
                identifier, label, discarded = self._done[-1]
                with self._database.writing(surely=True) as connection:
                    found = _update(connection, identifier, label, discarded)
                self._done.pop()
                if found:
                    return self.get(identifier)
        return None

    def keep_statistics(self, statistics: dict[str, Any]) -> None:
        """Keep running statistics that did not come with an utterance."""
        with self._database.writing() as connection:
            set_fact(connection, self._statistics_name, statistics)

    def remember_task(self) -> None:
        """Keep what the store is used for: for who opens it without a task."""
        if self._database.fact("task") != self.task.to_dict():
            with self._database.writing() as connection:
                set_fact(connection, "task", self.task.to_dict())

    def take(self, found: Iterable[tuple[StoredUtterance, bytes]]) -> int:
        """Take in utterances and their frames, but for those that are there already.

        One that is there but was discarded is taken up again, with the label that is given now.

        Returns
        -------
        int
            How many were taken in or up: all that were new, or (with an error) none.
        """
        taken, gone = 0, []
        with self._database.writing(surely=True) as connection:
            for recognition, data in found:
                same = _of_frames(connection, data)
                if not all(same.values()):
                    continue
                if same:
                    _update(connection, min(same), recognition.label, 0)
                else:
                    gone += self._make_room(connection, len(data))
                    _insert(connection, row_of(recognition, data))
                taken += 1
            self._forget_sounds(gone)
        return taken

    def take_back(self, found: Iterable[tuple[StoredUtterance, bytes]], last: int) -> None:
        """Take the utterances of another file, and their frames, into this one, which is empty.

        They keep their numbers. All is in the file itself when this returns.

        Parameters
        ----------
        found
            The utterances and their frames, the oldest first.
        last
            The last number that the other file may have given; see :meth:`number_past`.
        """
        gone = []
        with self._database.writing(surely=True) as connection:
            set_fact(connection, "task", self.task.to_dict())
            for recognition, data in found:
                gone += self._make_room(connection, len(data))
                _insert(connection, row_of(recognition, data), recognition.identifier)
            self._forget_sounds(gone)
        self.number_past(last)
        self._database.checkpoint()

    def number_past(self, last: int) -> None:
        """Give utterances to come larger numbers than one that was given before, elsewhere."""
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'examples' AND seq >= ?"
        if last < 1 or self._database.rows(query, last):
            return
        with self._database.writing(surely=True) as connection:
            change = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'examples'"
            if not connection.execute(change, (last,)).rowcount:  # none was given here
                connection.execute("INSERT INTO sqlite_sequence VALUES ('examples', ?)", (last,))

    def purge(self) -> None:
        """Delete what was discarded: it can then no longer be undone."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM examples WHERE discarded")
            self._done.clear()

    def delete_all(self) -> None:
        """Delete every utterance, its sound, and the statistics; overwrite them on the disk."""
        last = 0
        with suppress(StorageError):  # also a damaged file is deleted
            last = self._database.last_number()
        try:
            self._done.clear()
            self._database.begin_anew()
            self.number_past(last)
            self.remember_task()
        finally:
            if self._sounds is not None:
                self._sounds.clear()

    def _change(self, identifier: int, label: str | None, discarded: int) -> StoredUtterance:
        with self._database.lock:
            before = self.get(identifier)
            if (label, discarded) == (before.label, int(before.discarded)):
                return before  # nothing that could be taken back
            with self._database.writing(surely=True) as connection:
                _update(connection, identifier, label, discarded)
                if discarded:
                    self._forget_sounds([identifier])
            self._done.append((identifier, before.label, int(before.discarded)))
            return self.get(identifier)

    def _make_room(self, connection: sqlite3.Connection, frame_bytes: int) -> list[int]:
        """Delete what may go until another utterance has a place; say which went."""
        gone: list[int] = []
        query = (
            "DELETE FROM examples WHERE id = (SELECT id FROM examples "
            "WHERE label IS NULL OR discarded ORDER BY id LIMIT 1) RETURNING id"
        )
        needed = frame_bytes + _ROW_BYTES
        while self._database.used() + needed > self._limit:
            rows = connection.execute(query).fetchall()
            if not rows:
                raise StorageError(
                    f"The store {self.path} is full of labelled utterances "
                    f"({self._limit / 1e6:g} MB), so no more are kept.",
                    "Give a larger --store-mb, or export and delete some (edge-client examples).",
                )
            gone += [row[0] for row in rows]
        return gone

    def _forget_sounds(self, identifiers: list[int]) -> None:
        """Delete sound within a transaction: if that cannot be, nothing else is changed."""
        if self._sounds is not None:
            for identifier in identifiers:
                self._sounds.forget(identifier)


def _last_task(database: Database) -> Task:
    try:
        return Task.from_dict(database.fact("task") or {})
    except ValueError:
        return DEFAULT_TASK


def _insert(
    connection: sqlite3.Connection, row: Mapping[str, Any], identifier: int | None = None
) -> int:
    return int(connection.execute(INSERT, {**row, "id": identifier}).lastrowid or 0)


def _of_frames(connection: sqlite3.Connection, data: bytes) -> dict[int, bool]:
    """Find the utterances of these frames by their numbers; say of each if it was discarded."""
    query = "SELECT id, discarded, frames FROM examples WHERE checksum = ?"
    rows = connection.execute(query, (zlib.crc32(data),))
    return {number: bool(discarded) for number, discarded, frames in rows if frames == data}


def _update(
    connection: sqlite3.Connection, identifier: int, label: str | None, discarded: int
) -> bool:
    query = "UPDATE examples SET label = ?, discarded = ? WHERE id = ?"
    return connection.execute(query, (label, discarded, identifier)).rowcount == 1
