"""Files whose bytes are overwritten before they go, where the file system lets them be."""

import os
import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from shared.storage.files import storage_errors
from shared.storage.write_ahead import BUSY_SECONDS

_PIECE: Final = 1 << 16


def erase(path: Path) -> None:
    """Overwrite a file, where the file system lets it be, and remove it.

    Raises
    ------
    StorageError
        If it cannot be removed.
    """
    with storage_errors(path), suppress(FileNotFoundError):
        with suppress(OSError), path.open("rb+") as file:
            _overwrite(file)
        path.unlink()


def with_logs(store: Path) -> list[Path]:
    """Name all files of a store, itself last: a new one must find no old log."""
    return [store.with_name(store.name + end) for end in ("-wal", "-shm", "")]


def erase_store(store: Path) -> None:
    """Erase all files of a store, which nobody has open; raise as :func:`erase` does."""
    for file in with_logs(store):
        erase(file)


def opened(store: Path | str, **how: Any) -> sqlite3.Connection:
    """Open a store, as :func:`sqlite3.connect` does; who closes it last overwrites its log."""
    return sqlite3.connect(store, timeout=BUSY_SECONDS, factory=_Connection, **how)


class _Connection(sqlite3.Connection):
    """A connection to a file of SQLite that overwrites the file's log, if it is the last.

    The log has copies of all that was written of late, also of what was deleted since. SQLite
    removes it with the last connection, and overwrites nothing.
    """

    def close(self) -> None:
        """Close the file."""
        with ExitStack() as stack:
            log: BinaryIO | None = None
            with suppress(OSError, sqlite3.Error):
                path = self.execute("PRAGMA database_list").fetchone()[2]
                log = stack.enter_context(Path(f"{path}-wal").open("rb+"))
            super().close()
            # Another connection may have it open: then it is there still.
            if log and not os.fstat(log.fileno()).st_nlink:
                with suppress(OSError):
                    _overwrite(log)


def _overwrite(file: BinaryIO) -> None:
    size = os.fstat(file.fileno()).st_size
    file.writelines(bytes(min(_PIECE, size - start)) for start in range(0, size, _PIECE))
    file.flush()
    os.fsync(file.fileno())
