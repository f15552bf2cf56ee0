"""A file that arrives in pieces: what is said to be there survives a crash.

Beside the data a record is kept: a line for each range, appended after the range's bytes are on
the disk. A line cut off by a crash ends the record; the bytes behind it are asked for again. Each
line's checksum is over the file's digest too, so that another file's record is none.
"""

import contextlib
import errno
import hashlib
import os
import zlib
from pathlib import Path
from threading import Lock
from typing import Final

from shared.errors import ProtocolError
from shared.protocol.ranges import Ranges
from shared.storage.files import storage_errors, sync_folder

_PIECE: Final = 1 << 20
"""Bytes read at a time for the digest."""


class PartFile:
    """A file of known size and digest, as far as it has arrived.

    Parameters
    ----------
    path
        Where the data goes; the record is beside it (``.ranges``). What an earlier process
        recorded there is taken up.
    size
        Bytes of the whole file.
    digest
        Its SHA-256, in hexadecimal.

    Attributes
    ----------
    written
        Ranges that have arrived.
    durable
        Ranges that a crash cannot undo any more; replaced, never changed, so that it may be read
        while another thread flushes.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written; so do the methods.
    """

    def __init__(self, path: Path, size: int, digest: str) -> None:
        self.path = path
        self.size = size
        self.digest = digest
        self._record = record_of(path)
        self._lock = Lock()
        self._closed = False
        self._sha256 = hashlib.sha256()
        self._digested = 0
        self._fresh = Ranges()
        with storage_errors(path), contextlib.ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._data = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            opened.callback(os.close, self._data)
            self._log = os.open(self._record, os.O_RDWR | os.O_CREAT, 0o600)
            opened.callback(os.close, self._log)
            self.durable = self._recorded()
            sync_folder(path.parent)
            opened.pop_all()
        self.written = Ranges(self.durable)

    def write(self, offset: int, payload: bytes | memoryview) -> None:
        """Take a piece; one that is there already, or comes after the end, is left aside.

        May run beside the other methods in another thread.

        Raises
        ------
        ProtocolError
            If it lies beyond the file's end.
        """
        end = offset + len(payload)
        if end > self.size:
            raise ProtocolError(f"A chunk ends at byte {end} of a file of {self.size}.")
        with self._lock, storage_errors(self.path):
            if self._closed or self.written.covers(offset, end):
                return
            if os.pwrite(self._data, payload, offset) != len(payload):
                raise OSError(errno.ENOSPC, "No space left on device")
            self.written.add(offset, end)
            self._fresh.add(offset, end)

    def flush(self) -> None:
        """Make all that was written durable.

        After an error, what it was about counts as not written: it has to arrive again, because a
        disk that failed once may have dropped it.
        """
        with self._lock:
            fresh, self._fresh = self._fresh, Ranges()
        if not fresh:
            return
        try:
            with storage_errors(self.path):
                os.fdatasync(self._data)
                self._append(b"".join(self._line(begin, end) for begin, end in fresh))
        except BaseException:
            with self._lock:
                self.written = Ranges([*self.durable, *self._fresh])
            raise
        self.durable = Ranges([*self.durable, *fresh])
        begin, end = next(iter(self.durable))
        if not begin:
            self._digest_to(end)

    @property
    def arrived(self) -> bool:
        """Whether every byte has arrived, if not all is durable yet."""
        return self.written.covers(0, self.size)

    @property
    def complete(self) -> bool:
        """Whether all of the file is durable."""
        return self.durable.covers(0, self.size)

    def matches(self) -> bool:
        """Say whether the file, which has arrived whole, has the digest it should have."""
        self._digest_to(self.size)
        return self._digested == self.size and self._sha256.hexdigest() == self.digest

    def close(self) -> None:
        """Close the files; they stay on the disk."""
        with self._lock:
            # Who writes now must not come upon another file of the same number.
            self._closed = True
            os.close(self._data)
            os.close(self._log)

    def keep(self, path: Path) -> None:
        """Move the whole file to its place, and drop the record."""
        self.close()
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(path)
            self._record.unlink()
            # The folder's own entry too: it may be new.
            for folder in {path.parent, path.parent.parent, self.path.parent}:
                sync_folder(folder)

    def discard(self) -> None:
        """Delete what arrived."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)

    def _digest_to(self, end: int) -> None:
        """Go on with the digest: what is durable changes no more, and the end need not wait."""
        with storage_errors(self.path):
            while self._digested < end:
                piece = os.pread(self._data, min(_PIECE, end - self._digested), self._digested)
                if not piece:
                    return  # somebody has cut the file off
                self._sha256.update(piece)
                self._digested += len(piece)

    def _recorded(self) -> Ranges:
        """Read the record up to the first line that is not whole, and cut off the rest."""
        found, whole = Ranges(), 0
        present = min(self.size, os.fstat(self._data).st_size)
        content = os.pread(self._log, os.fstat(self._log).st_size, 0)
        for line in content.splitlines(keepends=True):
            fields = line.split()
            try:
                begin, end = int(fields[0]), int(fields[1])
            except (ValueError, IndexError):
                break
            if line != self._line(begin, end) or not 0 <= begin < end <= present:
                break
            found.add(begin, end)
            whole += len(line)
        self._cut(whole)
        return found

    def _append(self, lines: bytes) -> None:
        """Add lines to the record, all or none."""
        end = os.lseek(self._log, 0, os.SEEK_CUR)
        with contextlib.ExitStack() as undo:
            # What would stand behind half a line would not be read again.
            undo.callback(self._cut, end)
            if os.write(self._log, lines) != len(lines):
                raise OSError(errno.ENOSPC, "No space left on device")
            os.fdatasync(self._log)
            undo.pop_all()

    def _cut(self, end: int) -> None:
        os.ftruncate(self._log, end)
        os.lseek(self._log, end, os.SEEK_SET)

    def _line(self, begin: int, end: int) -> bytes:
        text = f"{begin} {end}"
        checksum = zlib.crc32(f"{self.digest} {self.size} {text}".encode())
        return f"{text} {checksum:08x}\n".encode()


def record_of(path: Path) -> Path:
    """Name the record beside a file that arrives in pieces."""
    return path.with_name(path.name + ".ranges")
