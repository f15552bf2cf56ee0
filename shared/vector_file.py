"""A flat float32 vector in a file, read piece by piece."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.storage.files import storage_errors
from shared.weights import StoredVector, Weights


@dataclass(frozen=True, slots=True)
class VectorFile(StoredVector):
    """Raw little-endian float32 values in a file; slicing reads just that piece.

    Reading instead of mapping keeps the pages out of the process's memory, so that a strategy's
    memory does not grow with the number of updates.

    Attributes
    ----------
    path
        The file.
    length
        Number of values.
    """

    path: Path
    length: int

    @classmethod
    def write(cls, path: Path, vector: Weights) -> "VectorFile":
        """Write a vector to a file; raise :class:`StorageError` if the disk is full."""
        with storage_errors(path), path.open("wb") as file:
            # Not `tofile`, whose error on a full disk does not say what it is.
            file.write(np.ascontiguousarray(vector, "<f4").data)
        return cls(path, len(vector))

    @staticmethod
    def bytes_of(length: int) -> int:
        """Say how large the file of so many values is."""
        return 4 * length

    def __len__(self) -> int:
        """Return the number of values."""
        return self.length

    def __getitem__(self, where: slice, /) -> Weights:
        """Read one contiguous piece."""
        start, stop, step = where.indices(self.length)
        if step != 1:
            raise ValueError("a vector file is read in contiguous pieces")
        count = max(0, stop - start)
        return np.fromfile(self.path, "<f4", count, offset=4 * start).astype(np.float32, copy=False)
