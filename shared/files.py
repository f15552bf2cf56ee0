"""Files that are whole or not there at all."""

import contextlib
import errno
import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into a :class:`StorageError` that names it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"The disk is full while writing {path}.",
                "Free some space and start again: what was finished is kept.",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise StorageError(f"Cannot write {path}: {error.strerror}.") from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; rename it there when the block ends well.

    The file is flushed to the disk before it is renamed, so that after a power cut either the old
    or the new content is there. Whatever goes wrong, the old content stays and nothing is left
    beside it.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}-", path.parent)
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
            aside.chmod(0o644)
            aside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise


def leftovers(path: Path) -> list[Path]:
    """Find what a process left beside a file when it was killed while replacing it."""
    return list(path.parent.glob(f".{glob.escape(path.stem)}-????????{glob.escape(path.suffix)}"))


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file, whole or not at all.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with replacing(path) as aside:
        aside.write_bytes(data.encode() if isinstance(data, str) else data)
