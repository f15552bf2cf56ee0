"""What files hold, by SHA-256: read once while they stay as they are."""

import time
from functools import lru_cache
from pathlib import Path
from typing import Final

from shared.storage.files import sha256_of

_SETTLED: Final = 3_000_000_000
"""Nanoseconds after which another change shows in a file's times: FAT counts pairs of seconds."""


def remembered_sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, in hexadecimal; one that has not changed since is not read again.

    For files that are asked for many times: the clips of a corpus, motion that clips share.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    if time.time_ns() - max(times) < _SETTLED:
        return sha256_of(path)
    return _sha256_while(path, status.st_dev, status.st_ino, status.st_size, *times)


@lru_cache(maxsize=1 << 15)
def _sha256_while(path: Path, *_: int) -> str:
    return sha256_of(path)
