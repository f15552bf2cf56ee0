"""Files that are whole or not there at all, and files that one process has to itself."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from shared.errors import ChorusError, SettingsError, StorageError
from shared.storage.owners import give_as

_TRIES: Final = 3
"""Attempts to lock a file: :func:`is_locked` holds it for a moment, too."""

_BETWEEN: Final = 0.05
"""Seconds between them."""


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a path into a :class:`StorageError` that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError.full_disk(path) from error
        raise StorageError(
            f"Cannot write {path}: {error.strerror or error}.", StorageError.remedy_of(error)
        ) from error


@contextmanager
def replacing(
    path: Path, mode: int = 0o644, *, durable: bool = False, within: Path | None = None
) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; rename it there when the block ends well.

    The file is flushed to the disk before it is renamed, so that after a power cut either the old
    or the new content is there. Whatever goes wrong, the old content stays and nothing is left
    beside it. ``mode`` says who may read it; until it is whole, its owner alone. ``durable`` is for
    what must not be forgotten: then it is the new content that is there after a power cut.
    ``within`` is a folder of the same file system to write in, if not the path's own. What root
    writes has the owner of what it replaces, or that of the path's folder.

    Raises
    ------
    StorageError
        If the disk is full, the folder cannot be written, or what is there is no file.
    """
    with storage_errors(path):
        _check_replaceable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}-", within or path.parent)
        give_as(handle, path if path.exists() else path.parent)
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
            aside.chmod(mode)
            aside.replace(path)
            if durable:
                sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise


def refuse_replacing(read: Iterable[Path | None], written: Iterable[Path]) -> None:
    """Raise :class:`SettingsError` if what is read is what is written, by whatever name.

    Parameters
    ----------
    read
        What a command was given to read; ``None`` stands for what it was not.
    written
        The files that it will replace or remove.
    """
    sources = [path for path in read if path is not None]
    for out in written:
        for source in sources:
            if _is_same(out, source):
                raise SettingsError(
                    f"{out} would be written over, and {source}, which is read, is the same file.",
                    "Give another file to write.",
                )


def _is_same(one: Path, other: Path) -> bool:
    # What is not there, or cannot be looked at, says so when it is read or written.
    with contextlib.suppress(OSError, ValueError):
        return one.samefile(other)
    return False


def check_place(path: Path, room: int = 0) -> None:
    """Find now what would keep a file from being written after hours; nothing is left behind.

    Parameters
    ----------
    path
        The file; its folders need not be there yet.
    room
        Bytes that it will have, as far as is known.

    Raises
    ------
    StorageError
        As :func:`replacing` does.
    """
    with storage_errors(path):
        _check_replaceable(path)
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=folder):
            if shutil.disk_usage(folder).free < room:
                raise StorageError.full_disk(path)


def _check_replaceable(path: Path) -> None:
    """Raise :class:`StorageError` if what is there is no file.

    A device would be replaced by a file; a folder cannot be.
    """
    if path.exists() and not path.is_file():
        raise StorageError(f"Cannot write {path}: it is not a file.", "Give another place.")


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable: what was made or renamed in it is there after a power cut.

    Raises
    ------
    StorageError
        If the disk does not take it.
    """
    with storage_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def leftovers(path: Path) -> list[Path]:
    """Find what a process left beside a file when it was killed while replacing it.

    Who writes to the path that :func:`replacing` gives by what replaces a file leaves two.
    """
    aside, end = f".{glob.escape(path.stem)}-????????", glob.escape(path.suffix)
    return [*path.parent.glob(f"{aside}{end}"), *path.parent.glob(f".{aside}-????????{end}")]


def copy_atomically(source: Path, path: Path) -> None:
    """Copy a file, whole or not at all, unless it is there already.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with storage_errors(path):
        if path.exists() and path.samefile(source):
            return
    with replacing(path) as aside:
        shutil.copyfile(source, aside)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file, whole or not at all.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with replacing(path) as aside:
        aside.write_bytes(data.encode() if isinstance(data, str) else data)


def touch(path: Path) -> None:
    """Make a file that only its owner reads, if it is not there; see that it may be written.

    One that root makes is its folder's owner's.

    Raises
    ------
    OSError
        If it cannot be made or written.
    """
    _make(path)
    path.touch(0o600)


def make_folder(path: Path) -> None:
    """Make a folder that only its owner reads, if it is not there; what holds it has to be.

    One that root makes is the owner's of the folder that holds it.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        give_as(descriptor, path.parent)
        os.close(descriptor)


def _make(path: Path) -> None:
    """Make an empty file if it is not there. One that is there may be a link to somebody's file."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        give_as(descriptor, path.parent)
        os.close(descriptor)


def open_file(path: Path) -> FileIO:
    """Open a file to be read. A pipe, a socket or a device is none: one may wait for it for ever.

    Raises
    ------
    OSError
        If it cannot be opened, or is no file.
    ValueError
        If there can be no such path: it holds a zero byte.
    """
    # Looked at first: there are devices that do something when they are opened.
    if stat.S_ISDIR(mode := path.stat().st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISREG(mode):
        file = FileIO(path, opener=_open_at_once)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
    raise OSError(errno.EINVAL, "it is not a file", str(path))


def read_file(path: Path) -> bytes:
    """Read a file whole; raise as :func:`open_file` does."""
    with open_file(path) as file:
        return file.readall()


def read_small(path: Path, most: int = 1 << 16) -> bytes:
    """Read a file of which everybody knows that it is small, such as a key's.

    Raises
    ------
    OSError
        If it cannot be read, is no file, or has more than so many bytes.
    ValueError
        As :func:`open_file` does.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def may_wait(path: Path) -> bool:
    """Say whether who opens a path may wait for ever: it is a pipe that has a name.

    One without is a shell's own, as of ``--config <(COMMAND)``, and its other end is there.
    """
    return path.is_fifo() and path.parent != Path("/dev/fd")


def refuse_pipe(path: Path) -> None:
    """Raise :class:`StorageError` if who opens a path may wait for ever: see :func:`may_wait`."""
    if may_wait(path):
        raise StorageError(f"Cannot use {path}: it is a pipe.", "Move it away, and start again.")


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of what may have become a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(path: Path, taken: ChorusError) -> int:
    """Lock a file, made with its folder if it is not there, for this process alone.

    Parameters
    ----------
    path
        The lock's file.
    taken
        What to raise if another process has it.

    Returns
    -------
    int
        A file descriptor; closing it, or the end of the process, however it comes, unlocks.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if not left:
                os.close(descriptor)
                raise taken from None
            time.sleep(_BETWEEN)
    return descriptor


def is_locked(path: Path) -> bool:
    """Say whether a process has locked a file; nothing is made if it is not there.

    Raises
    ------
    StorageError
        If this user may not look.
    """
    with storage_errors(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would let it wait
        except FileNotFoundError:
            return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
