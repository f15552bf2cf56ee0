"""The SQLite file under the store: opened, read and written, one thread at a time."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from edge_client.device.erasing import erase_store, opened, with_logs
from edge_client.device.migrations import migrate
from shared.errors import StorageError
from shared.storage.files import refuse_pipe, storage_errors, touch
from shared.storage.write_ahead import BUSY_SECONDS, NO_ROOM, write_ahead

LONGEST_LOG: Final = 16 << 20
"""Bytes of the log from which on it is begun anew: SQLite begins at its start again after 4 MB, but
for a large transaction, or where somebody reads meanwhile."""

_UNKNOWN: Final = -1
"""Which version of the file a connection knows that was opened to go on: none that there is."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for one connection that several threads take turns with.

    Raises
    ------
    StorageError
        As :func:`store_errors`.
    """
    with store_errors(path), storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        refuse_pipe(path)
        touch(path)  # SQLite gives its log the same permissions
        connection = opened(path, isolation_level=None, check_same_thread=False)
        try:
            write_ahead(connection)
            # What is deleted is overwritten, and nothing of it is put into temporary files.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.row_factory = sqlite3.Row
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite complains about into a :class:`StorageError` with its remedy."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(NO_ROOM):
            raise StorageError.full_disk(path) from error
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


class Database:
    """A SQLite file, which other processes may read and write at the same time.

    Parameters
    ----------
    path
        The file; made, or brought to this version, if need be.

    Attributes
    ----------
    path
        As given.
    lock
        Held while the connection is used; whoever needs several of the methods to be one holds it.

    Raises
    ------
    StorageError
        As :func:`store_errors`; so do all methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._readers = 0
        self._no_readers = threading.Condition(self.lock)
        self._staying = 0  # bytes of the log that could not be removed when it was tried last
        self._open()
        self._version = self._pragma("data_version")

    def _open(self) -> sqlite3.Connection:
        self._connection = connect(self.path)
        self._page = int(self._pragma("page_size"))
        return self._connection

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for who holds the lock."""
        return self._connection or self._open()  # there may have been no room to begin anew

    def _leave(self) -> None:
        """Close the file to open it anew, now or when it is needed."""
        self.close()
        self._connection = None
        self._version = _UNKNOWN
        self._staying = 0

    def close(self) -> None:
        """Close the file."""
        with self.lock, suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()

    @contextmanager
    def writing(self, *, surely: bool = False) -> Iterator[sqlite3.Connection]:
        """Open a transaction; ``surely`` waits for the disk."""
        with self.lock, store_errors(self.path):
            self._shorten_log()
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if surely else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection of its own, so that hearing need not wait for who reads much."""
        with self.lock:
            self._readers += 1
        try:
            with closing(connect(self.path)) as reading, store_errors(self.path):
                yield reading
        finally:
            with self.lock:
                self._readers -= 1
                self._no_readers.notify_all()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Read all rows of a query."""
        with self.lock, store_errors(self.path):
            return self.connection.execute(query, values).fetchall()

    def fact(self, name: str) -> dict[str, Any] | None:
        """Read what was kept by this name; ``None`` if nothing was, empty if it is damaged."""
        rows = self.rows("SELECT value FROM facts WHERE name = ?", name)
        try:
            return dict(json.loads(rows[0][0])) if rows else None
        except (TypeError, ValueError):
            return {}

    def last_number(self) -> int:
        """Say which number an utterance was given last; 0 if none was."""
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'examples'"
        return max((row[0] for row in self.rows(query)), default=0)

    def changed_elsewhere(self) -> bool:
        """Say whether another process has changed the file since this was asked last."""
        with self.lock, store_errors(self.path):
            before, self._version = self._version, self._pragma("data_version")
        return bool(before != self._version)

    def used(self) -> int:
        """Count the bytes that are in use; the caller holds the lock."""
        pages = int(self._pragma("page_count")) - int(self._pragma("freelist_count"))
        return pages * self._page

    def checkpoint(self) -> None:
        """Put all that was written into the file, unless another process reads it."""
        with self.lock, store_errors(self.path):
            self.connection.execute("PRAGMA wal_checkpoint(FULL)")

    def begin_anew(self) -> None:
        """Overwrite the file and its log, remove them, and make an empty file.

        It needs no room: to delete by SQLite would take as much as is deleted. Threads that read
        are waited for, but not for ever. What is read meanwhile by others is damaged.

        Raises
        ------
        StorageError
            Also if there is no room to make the empty file: it is made then when it is needed.
        """
        with self._no_readers:
            self._no_readers.wait_for(lambda: not self._readers, BUSY_SECONDS)
            self._leave()
            erase_store(self.path)
            self._open()
            self._version = self._pragma("data_version")

    def _shorten_log(self) -> None:
        """Overwrite and remove a log that has become long, unless somebody else uses the file.

        SQLite's own bound would cut off what is beyond it, and not overwrite that. What stays is
        tried again when it has grown by as much: each trial costs time, and counts as news.
        """
        log, *_ = with_logs(self.path)
        with suppress(FileNotFoundError):
            if log.stat().st_size > self._staying + LONGEST_LOG and not self._readers:
                self._leave()
                self._open()
                self._staying = log.stat().st_size

    def _pragma(self, name: str) -> Any:
        return self.connection.execute(f"PRAGMA {name}").fetchone()[0]


def set_fact(connection: sqlite3.Connection, name: str, value: Mapping[str, Any]) -> None:
    """Keep something by a name, in place of what was kept by it before."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))
