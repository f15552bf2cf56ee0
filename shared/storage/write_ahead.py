"""SQLite's write-ahead log, switched on by several processes at once."""

import sqlite3
import time
from typing import Final

BUSY_SECONDS: Final = 10.0
"""How long to wait while another process writes; its transactions take milliseconds."""

NO_ROOM: Final = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")
"""How SQLite's names for a full disk begin: it depends on what it wanted to write."""

_AGAIN_SECONDS: Final = 0.005


def write_ahead(connection: sqlite3.Connection, seconds: float = BUSY_SECONDS) -> None:
    """Switch a file to the write-ahead log, or see that it has one.

    SQLite does not wait for other processes here, whatever the connection's timeout: of two that
    open a new file at once, one is told at once that the file is busy.

    Parameters
    ----------
    connection
        The file, outside a transaction.
    seconds
        How long to try.

    Raises
    ------
    sqlite3.OperationalError
        If another process still has the file to itself, or it cannot be written.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            name = getattr(error, "sqlite_errorname", "")
            if not name.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
        else:
            return
        time.sleep(_AGAIN_SECONDS)
