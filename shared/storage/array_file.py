"""NumPy arrays in a file, whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.storage.files import replacing

_BESIDE: Final = 1024
"""Bytes that an array takes in a file besides its values, at most."""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], mode: int = 0o644) -> None:
    """Write arrays to an ``.npz``, whatever its name ends in.

    Parameters
    ----------
    path
        The file.
    arrays
        By name.
    mode
        Who may read it.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    # To an open file: given a name, NumPy would add `.npz` to one that ends in something else.
    with replacing(path, mode) as aside, aside.open("wb") as file:
        # A full disk is noticed here: NumPy would go on writing to it when it tidies up.
        os.posix_fallocate(file.fileno(), 0, room_for(arrays))
        np.savez(file, **dict(arrays))
        file.truncate()


def room_for(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Give the bytes that the file takes, or some more."""
    return sum(array.nbytes + _BESIDE for array in arrays.values())
