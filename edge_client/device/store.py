"""The examples a device keeps: features of what it heard, and what the person said of them."""

import json
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from edge_client.device import archive
from edge_client.device.database import connect, database_errors, readable_rows
from edge_client.device.sounds import SoundFolder
from edge_client.device.stored import (
    Stored,
    decode,
    encode,
    plausible,
    recognition_of,
    stacked,
)
from edge_client.device.stored_utterance import StoredUtterance
from shared.audio import Samples
from shared.emotions import EMOTIONS, Emotion
from shared.errors import ChorusError, StorageError
from shared.features import Frames

UNDONE: Final = 100
"""Steps that can be undone."""

_ROW_BYTES: Final = 4 * 4096
"""What a row takes besides its frames, at most: its page, and one of each index."""

_Before = tuple[int, str | None, int]
"""An utterance, its label and whether it was discarded."""


class ExampleStore:
    """A device's examples in one SQLite file, which other processes may read at the same time.

    What the person said is on the disk when a method returns, and survives a power cut; an
    utterance nobody has labelled survives ``kill -9``.

    Parameters
    ----------
    path
        The file; made if it is not there.
    limit_mb
        Megabytes it may take. The oldest unlabelled or discarded utterances make way; labelled
        ones never do.
    sounds
        Where the sound is kept, if it is.

    Raises
    ------
    StorageError
        If the file is damaged or cannot be written; so do all methods, and change nothing then.
    """

    def __init__(self, path: Path, *, limit_mb: float, sounds: SoundFolder | None = None) -> None:
        self.path = path
        self._limit = int(limit_mb * 1_000_000)
        self._sounds = sounds
        self._lock = threading.RLock()
        self._done: deque[_Before] = deque(maxlen=UNDONE)
        self._connection = connect(path)
        self._page = int(self._pragma("page_size"))
        self._version = self._pragma("data_version")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

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
            Shape ``(n, 34)``, float32, not normalised.
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
        with self._write() as connection:
            gone = self._make_room(connection, frames.nbytes)
            identifier = _insert(connection, recognition, frames)
            if statistics is not None:
                _set_fact(connection, "statistics", statistics)
        self._forget_sounds(gone)
        return identifier

    def keep_sound(self, identifier: int, samples: Samples) -> None:
        """Keep an utterance's sound, where the store has a folder for it."""
        if self._sounds is not None:
            self._sounds.keep(identifier, samples)

    def label(self, identifier: int, emotion: Emotion) -> StoredUtterance:
        """Note what the person said it is; one that was discarded is taken up again."""
        return self._change(identifier, emotion, 0)

    def discard(self, identifier: int) -> StoredUtterance:
        """Leave an utterance out of everything; its sound is deleted at once."""
        changed = self._change(identifier, self.get(identifier).label, 1)
        self._forget_sounds([identifier])
        return changed

    def undo(self) -> StoredUtterance | None:
        """Take back the last label or discarding; ``None`` if there is none to take back."""
        with self._lock:
            while self._done:
                identifier, label, discarded = self._done[-1]
                with self._write(surely=True) as connection:
                    found = _update(connection, identifier, label, discarded)
                self._done.pop()
                if found:
                    return self.get(identifier)
        return None

    def get(self, identifier: int) -> StoredUtterance:
        """Look up an utterance; raise :class:`ChorusError` if there is none of this number."""
        if identifier < 0:
            raise ChorusError("This utterance could not be kept, so nothing can be said of it.")
        rows = self._rows("SELECT * FROM recognitions WHERE id = ?", identifier)
        if not rows:
            raise ChorusError(
                f"There is no utterance {identifier}: it was deleted, or has made way for others."
            )
        return recognition_of(rows[0])

    def recent(self, limit: int) -> list[StoredUtterance]:
        """List the last utterances, the newest first, without those that were discarded."""
        query = "SELECT * FROM recognitions WHERE NOT discarded ORDER BY id DESC LIMIT ?"
        return [recognition_of(row) for row in self._rows(query, limit)]

    def counts(self) -> dict[str, int]:
        """Count the utterances of each label, ``unlabelled`` and ``discarded``."""
        rows = self._rows("SELECT label, discarded, count(*) FROM examples GROUP BY 1, 2")
        counts = dict.fromkeys([*EMOTIONS, "unlabelled", "discarded"], 0)
        for label, discarded, count in rows:
            counts["discarded" if discarded else label or "unlabelled"] += count
        return counts

    def labelled(self, most: int) -> list[int]:
        """List the numbers of the newest that the person has labelled, the oldest first."""
        query = (
            "SELECT id FROM examples WHERE label IS NOT NULL AND NOT discarded "
            "ORDER BY id DESC LIMIT ?"
        )
        return [row[0] for row in self._rows(query, most)][::-1]

    def sure(self, least: float, most: int) -> list[int]:
        """List the newest unlabelled ones of so high a probability, the oldest first."""
        query = (
            "SELECT id, probabilities FROM recognitions WHERE label IS NULL AND NOT discarded "
            "AND probabilities IS NOT NULL ORDER BY id DESC"
        )
        with self._reading() as reading:
            rows = reading.execute(query)
            found = (number for number, told in rows if max(json.loads(told)) >= least)
            return list(islice(found, most))[::-1]

    def read(self, identifiers: Iterable[int]) -> Iterator[tuple[StoredUtterance, Frames]]:
        """Read whole utterances one by one; those that have gone or are damaged are left out."""
        with self._reading() as reading:
            for identifier in identifiers:
                query = "SELECT * FROM examples WHERE id = ?"
                row = reading.execute(query, (identifier,)).fetchone()
                if row and (frames := decode(row[-2], row[-1])) is not None:
                    yield recognition_of(row), frames

    def kept(self) -> list[int]:
        """List the numbers of all that were not discarded, the oldest first."""
        rows = self._rows("SELECT id FROM examples WHERE NOT discarded ORDER BY id")
        return [row[0] for row in rows]

    def everything(self) -> Stored:
        """Read all that was not discarded."""
        kept = self.kept()
        return stacked(self.read(kept), len(kept))

    def changed_elsewhere(self) -> bool:
        """Say whether another process has changed the file since this was asked last."""
        with self._lock, database_errors(self.path):
            before, self._version = self._version, self._pragma("data_version")
        return bool(before != self._version)

    def statistics(self) -> dict[str, Any] | None:
        """Read the running statistics that were kept last; ``None`` if there are none."""
        rows = self._rows("SELECT value FROM facts WHERE name = 'statistics'")
        try:
            return dict(json.loads(rows[0][0])) if rows else None
        except ValueError:
            return {}

    def take(self, stored: Stored) -> int:
        """Take in utterances from elsewhere, but for those that are there already.

        Returns
        -------
        int
            How many were taken in: all that were new, or (with an error) none.
        """
        taken, gone = 0, []
        with self._write(surely=True) as connection:
            for index, recognition in enumerate(stored.recognitions):
                frames = stored.features[index, : stored.frames[index]]
                data = encode(frames)
                query = "SELECT frames FROM examples WHERE checksum = ?"
                if (data,) not in connection.execute(query, (zlib.crc32(data),)).fetchall():
                    gone += self._make_room(connection, frames.nbytes)
                    _insert(connection, recognition, frames)
                    taken += 1
        self._forget_sounds(gone)
        return taken

    def export(self, path: Path) -> int:
        """Write all that was not discarded to a file; see :mod:`edge_client.device.archive`."""
        stored = self.everything()
        archive.write(path, stored)
        return len(stored.recognitions)

    def import_(self, path: Path) -> int:
        """Take in the examples of such a file, but for those that are there already."""
        return self.take(archive.read(path))

    def salvage(self, damaged: Path) -> int:
        """Take over what can still be read of a damaged file; give how many utterances."""
        found = [
            (recognition_of(row), frames)
            for row in readable_rows(damaged)
            if plausible(row) and (frames := decode(row[-2], row[-1])) is not None
        ]
        return self.take(stacked(found, len(found)))

    def purge(self) -> None:
        """Delete what was discarded: it can then no longer be undone."""
        with self._write() as connection:
            connection.execute("DELETE FROM examples WHERE discarded")
            self._done.clear()

    def delete_all(self) -> None:
        """Delete every utterance, its sound, and the statistics; overwrite them on the disk."""
        try:
            self._delete_rows()
        finally:
            if self._sounds is not None:
                self._sounds.clear()

    def _delete_rows(self) -> None:
        with self._write(surely=True) as connection:
            connection.execute("DELETE FROM examples")
            connection.execute("DELETE FROM facts")
            self._done.clear()
        with self._lock, database_errors(self.path):
            self._connection.execute("VACUUM")
            left = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if left:
            raise StorageError(
                f"The examples are deleted, but another program that reads {self.path} keeps "
                "their bytes in its log.",
                "End that program and delete once more.",
            )

    @contextmanager
    def _write(self, *, surely: bool = False) -> Iterator[sqlite3.Connection]:
        """Open a transaction; ``surely`` waits for the disk."""
        with self._lock, database_errors(self.path):
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if surely else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _change(self, identifier: int, label: str | None, discarded: int) -> StoredUtterance:
        with self._lock:
            before = self.get(identifier)
            with self._write(surely=True) as connection:
                _update(connection, identifier, label, discarded)
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
        while self._used() + needed > self._limit:
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
        if self._sounds is not None:
            for identifier in identifiers:
                self._sounds.forget(identifier)

    def _used(self) -> int:
        pages = int(self._pragma("page_count")) - int(self._pragma("freelist_count"))
        return pages * self._page

    def _pragma(self, name: str) -> Any:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock, database_errors(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection of its own, so that hearing need not wait for who reads much."""
        with closing(connect(self.path)) as reading, database_errors(self.path):
            yield reading


def _insert(connection: sqlite3.Connection, known: StoredUtterance, frames: Frames) -> int:
    data = encode(frames)
    row = (
        known.heard_at.isoformat(),
        known.seconds,
        known.source,
        known.speaker,
        None if known.probabilities is None else json.dumps(known.probabilities),
        known.label,
        int(known.discarded),
        zlib.crc32(data),
        data,
    )
    query = "INSERT INTO examples VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return int(connection.execute(query, row).lastrowid or 0)


def _update(
    connection: sqlite3.Connection, identifier: int, label: str | None, discarded: int
) -> bool:
    query = "UPDATE examples SET label = ?, discarded = ? WHERE id = ?"
    return connection.execute(query, (label, discarded, identifier)).rowcount == 1


def _set_fact(connection: sqlite3.Connection, name: str, value: dict[str, Any]) -> None:
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))
