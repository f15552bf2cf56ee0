"""Where computed features are kept: one SQLite file in the user's cache folder.

It is only a cache: whatever goes wrong with the file, features are computed anew, and it may be
deleted whenever no process uses it. A clip takes 4 bytes a value: of ``paper34`` 13.6 KB at most,
of ``mfcc40`` 160 KB.
"""

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self, TypeVar

import numpy as np

from shared.command import progress_console
from shared.frames import Frames
from shared.storage.folders import expanded, user_folder
from shared.storage.write_ahead import BUSY_SECONDS, write_ahead

FOLDER_VARIABLE: Final = "CHORUS_CACHE"
"""Environment variable that names another cache folder."""

MOST_CLIPS: Final = 100_000
"""Clips kept; the oldest make way. With ``paper34``, 0.5 GB if they last 3.5 s."""

MOST_BYTES: Final = 2_000_000_000
"""Bytes in use, beyond which the oldest make way, too."""

_SHARE_OUT: Final = 20
"""One of so many clips makes way at a time, until there is room."""

_KEYS_AT_ONCE: Final = 500
"""Old builds of SQLite take 999 parameters."""

# What SQLite calls a file that is not as we wrote it; SQLITE_ERROR: another table, or none.
_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ", "SQLITE_ERROR")

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS features (
        key BLOB NOT NULL UNIQUE,
        checksum INTEGER NOT NULL,  -- CRC-32 of data: SQLite does not see a changed byte
        data BLOB NOT NULL          -- float32, little-endian, shape (frames, features)
    )
"""

T = TypeVar("T")


def cache_folder() -> Path:
    """Find the user's cache folder: ``CHORUS_CACHE``, or ``chorus`` where caches are kept."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return expanded(Path(named))
    remedy = f"Name one in the environment: {FOLDER_VARIABLE}=DIR."
    return user_folder("XDG_CACHE_HOME", ".cache", remedy) / "chorus"


class FeatureStore:
    """The file of computed features; several processes may use it at once.

    No method raises because of the file. A damaged one is set aside as ``features.damaged`` and
    begun anew; one that cannot be used at all is done without. Both are remarked on.

    Parameters
    ----------
    folder
        Where the file lies, for its owner alone; :func:`cache_folder` if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder()
        self.path = self._folder / "features.sqlite"
        self._users = self._folder / "features.lock"
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._inode: int | None = None
        self._usable = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, keys: Sequence[bytes], features: int) -> dict[bytes, Frames]:
        """Look up clips.

        Parameters
        ----------
        keys
            What the features were added under: of one front end.
        features
            Values of a frame.

        Returns
        -------
        dict of bytes to Frames
            Of those that are there and whole, shape ``(n, features)`` each; not writable.
        """
        return self._attempt(lambda connection: dict(_rows(connection, keys, features)), {})

    def add(self, features: Mapping[bytes, Frames]) -> None:
        """Keep the features of some clips: of all of them or, if interrupted, of none."""
        data = {key: frames.astype("<f4").tobytes() for key, frames in features.items()}
        rows = [(key, zlib.crc32(value), value) for key, value in data.items()]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
                connection.execute(
                    "DELETE FROM features WHERE rowid <= (SELECT max(rowid) FROM features) - ?",
                    (MOST_CLIPS,),
                )
                _make_room(connection)

        self._attempt(write, None)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _attempt(self, action: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do something with the file; once more if it was damaged and could be set aside."""
        for attempt in range(2):
            if not self._usable:
                break
            try:
                return action(self._connection or self._open())
            except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                if not (attempt == 0 and _is_damage(error) and self._set_aside()):
                    self._do_without(error)
        return otherwise

    def _open(self) -> sqlite3.Connection:
        # From features can be told who spoke, and in which mood: they are their owner's alone.
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # All who have the file open share this lock, and only who has it alone may rename the
        # file: SQLite would mix the old file's write-ahead log into the new one.
        self._lock = os.open(self._users, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.path.touch(0o600)
        aside = self.path.with_suffix(".damaged")
        for file in (self._users, aside, *self._folder.glob(f"{self.path.name}*")):
            with suppress(OSError):  # of earlier versions, which let others read them
                file.chmod(0o600)
        self._inode = self.path.stat().st_ino
        self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
        self._connection.text_factory = bytes  # what damage turns into text need not be text
        write_ahead(self._connection, BUSY_SECONDS)
        # A power cut may lose the last clips, but leaves the file whole.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(_SCHEMA)
        return self._connection

    def _set_aside(self) -> bool:
        """Rename the damaged file; return false if another process is using it."""
        self.close()
        try:
            with _locked(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if self.path.stat().st_ino == self._inode:  # else another process has done it
                    for log in (f"{self.path.name}-wal", f"{self.path.name}-shm"):
                        self.path.with_name(log).unlink(missing_ok=True)
                    self.path.replace(self.path.with_suffix(".damaged"))
        except OSError:
            return False
        _remark(f"The feature cache {self.path} was damaged; it is set aside and begun anew.")
        return True

    def _do_without(self, error: Exception) -> None:
        self.close()
        self._usable = False
        _remark(f"Going on without the feature cache {self.path}: {error}.")


def _make_room(connection: sqlite3.Connection) -> None:
    """Let the oldest go until the rest takes no more than it may; what is freed is used again."""
    page, most = _number(connection, "PRAGMA page_size"), MOST_BYTES
    while page * (_number(connection, "PRAGMA page_count") - _free(connection)) > most:
        clips = _number(connection, "SELECT count(*) FROM features")
        if not clips:
            break
        connection.execute(
            "DELETE FROM features WHERE rowid IN "
            "(SELECT rowid FROM features ORDER BY rowid LIMIT ?)",
            (-(-clips // _SHARE_OUT),),
        )


def _free(connection: sqlite3.Connection) -> int:
    return _number(connection, "PRAGMA freelist_count")


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _rows(
    connection: sqlite3.Connection, keys: Sequence[bytes], features: int
) -> Iterator[tuple[bytes, Frames]]:
    """Read the rows that are there and whole."""
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        asked = set(some)
        marks = ",".join("?" * len(some))
        query = f"SELECT key, checksum, data FROM features WHERE key IN ({marks})"  # noqa: S608 - only question marks are put in
        for key, checksum, data in connection.execute(query, some):
            # In a damaged file a value may even have another type, and a row another key than the
            # index says.
            whole = isinstance(data, bytes) and zlib.crc32(data) == checksum
            if whole and key in asked:
                values = np.frombuffer(data, "<f4")
                if values.size % features == 0:
                    yield key, values.reshape(-1, features)


def _is_damage(error: Exception) -> bool:
    # SQLite's complaint about a damaged schema quotes it, and then need not be text.
    if isinstance(error, UnicodeDecodeError):
        return True
    return getattr(error, "sqlite_errorname", "").startswith(_DAMAGE)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock on a file or folder; it ends with the process, whatever ends that."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def _remark(sentence: str) -> None:
    progress_console().print(sentence, soft_wrap=True)
