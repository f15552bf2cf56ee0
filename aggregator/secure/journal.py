"""What a secure round has taken, on the disk: a restart goes on from there.

An entry is the length of what follows the checksum (4 bytes, big-endian), the CRC-32 of that, a
name, a zero byte and the message. One that a crash has cut off ends the journal, and is cut off. A
crash damages the last one alone, so one with a whole one behind it is none of those.
"""

import contextlib
import errno
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.storage.files import storage_errors, sync_folder

ENTRY_HEAD: Final = struct.Struct(">II")
"""Of an entry: its length and checksum."""


_BEGINNING: Final = re.compile(rb"(?s)(?=.{8}[a-z0-9-]{0,64}\0)")
"""What an entry begins with: length, checksum, a name, a zero byte. Found where others overlap."""


class DamagedJournalError(ValueError):
    """An entry was changed after it was written."""


class Journal:
    """A round's entries, in the order in which they were taken.

    Parameters
    ----------
    path
        The file; made if it is not there. One process has it at a time.

    Raises
    ------
    StorageError
        If it cannot be written; so do the methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        sync_folder(path.parent)
        self._end = 0

    def entries(self) -> Iterator[tuple[str, bytes]]:
        """Read what is there, an entry at a time: a name and a message. Comes before appending.

        Raises
        ------
        DamagedJournalError
            If an entry is damaged, and it is not the last one.
        """
        with storage_errors(self.path):
            while (entry := self._entry(self._end)) is not None:
                self._end += ENTRY_HEAD.size + len(entry)
                name, _, message = entry.partition(b"\0")
                yield name.decode(), message
            if self._goes_on():
                raise DamagedJournalError
            self._cut()

    def append(self, name: str, message: bytes) -> None:
        """Add an entry, whole or not at all; it is on the disk when this returns."""
        body = name.encode() + b"\0" + message
        entry = ENTRY_HEAD.pack(len(body), zlib.crc32(body)) + body
        with storage_errors(self.path), contextlib.ExitStack() as undo:
            # What would stand behind half an entry would not be read again.
            undo.callback(self._cut)
            if os.pwrite(self._file, entry, self._end) != len(entry):
                raise OSError(errno.ENOSPC, "No space left on device")
            os.fdatasync(self._file)
            undo.pop_all()
        self._end += len(entry)

    def close(self) -> None:
        """Close the file; it stays."""
        os.close(self._file)

    def discard(self) -> None:
        """Delete it: the round is over, and its sum is safe elsewhere."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _entry(self, at: int) -> bytes | None:
        """Read what an entry holds, if there is a whole one.

        Zeros are none: a power cut may leave them where something was being written.
        """
        length, checksum = self._head(at)
        left = os.fstat(self._file).st_size - at - ENTRY_HEAD.size
        if not 0 < length <= left:
            return None
        body = os.pread(self._file, length, at + ENTRY_HEAD.size)
        return body if zlib.crc32(body) == checksum else None

    def _goes_on(self) -> bool:
        """Say whether a whole entry stands anywhere behind the first that is none."""
        behind = self._end + 1
        left = max(os.fstat(self._file).st_size - behind, 0)
        rest = os.pread(self._file, left, behind)
        for found in _BEGINNING.finditer(rest):
            length, _ = ENTRY_HEAD.unpack_from(rest, found.start())
            fits = 0 < length <= len(rest) - found.start() - ENTRY_HEAD.size
            if fits and self._entry(behind + found.start()) is not None:
                return True
        return False

    def _head(self, at: int) -> tuple[int, int]:
        """Read the length of an entry, and its checksum; zeros where there is none."""
        head = os.pread(self._file, ENTRY_HEAD.size, at)
        length, checksum = ENTRY_HEAD.unpack(head.ljust(ENTRY_HEAD.size, b"\0"))
        return length, checksum

    def _cut(self) -> None:
        os.ftruncate(self._file, self._end)
