"""Where inputs become files, for what reads files."""

import tempfile
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- a folder of our own in it
_KEPT: Final = tempfile.TemporaryDirectory(
    prefix="fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None
)

FOLDER: Final = Path(_KEPT.name)
"""For files that are read, in memory, as disks would be waited for; it goes with the process."""


def written(data: bytes, name: str = "input") -> Path:
    """Write an input to a file."""
    path = FOLDER / name
    path.write_bytes(data)
    return path
