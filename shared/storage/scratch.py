"""A folder beside a place, for what is made of several files before it gets there."""

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.storage.files import storage_errors

_LOCK: Final = "lock"
"""A file in such a folder, which is locked as long as a process uses it."""


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path``, in the same file system, that its owner alone can enter.

    It is removed when the block ends, and if a process is killed meanwhile, by the next that has
    one beside the same path. What another process has in use is left alone.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        held = None
        try:
            held = _hold(folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if held is not None:
                os.close(held)


def _hold(folder: Path) -> int:
    """Lock a folder; give the descriptor that holds the lock."""
    descriptor, unnamed = tempfile.mkstemp(dir=folder)
    # Locked before it has its name, so that nobody ever finds it free. Where a file system knows
    # no locks it gets none, and a folder that is left stays.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        Path(unnamed).rename(folder / _LOCK)
    return descriptor


def _remove_left(path: Path) -> None:
    """Remove the folders beside a path that killed processes have left."""
    for folder in path.parent.glob(f".{glob.escape(path.name)}-????????"):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(descriptor)
