"""Reads the tensors in a ``.pt`` of PyTorch without running any code that it asks for.

Such a file is a ZIP archive: a pickle of tensors that name the parts with their values, and those
parts. Before PyTorch 1.6 it was a row of pickles (a number that tells the format, the version, the
machine, the tensors, the names of the parts), and the parts behind them, each after its length.

A pickle may ask for anything; :mod:`converters.encoders.torch_pickle` does what rebuilds a tensor,
and nothing else. (``torch/serialization.py`` of PyTorch 2, ``_legacy_load`` for the older.)
"""

import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from numpy.typing import NDArray

from converters.encoders.torch_pickle import PickleError, TensorPlace, read_pickle

MAGIC: Final = b"PK\x03\x04"
"""How a ZIP archive begins."""

OLD_MAGIC: Final = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How a file begins from before PyTorch 1.6."""

_LARGEST_PICKLE: Final = 2 << 20
"""Bytes of a pickle that is believed; that of the largest Whisper has 200 kB."""

_Part = Callable[[str], bytes]
"""Gives a part of the file by its name."""


def read_tensors(path: Path, key: str, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Read tensors of a dictionary that a file holds.

    Parameters
    ----------
    path
        The file.
    key
        Under which the file's own dictionary holds it.
    prefix
        How the names of the wanted ones begin.

    Raises
    ------
    ValueError
        If the file is cut short, asks for anything but tensors, or has no such dictionary; with a
        clause that says so.
    """
    try:
        with path.open("rb") as file:
            old = file.read(len(OLD_MAGIC)) == OLD_MAGIC
            file.seek(0)
            return (_read_old if old else _read_archive)(file, key, prefix)
    except StopIteration:
        raise ValueError("the archive has no data.pkl") from None
    except PickleError:
        raise
    # What a damaged archive or pickle raises is not told.
    except Exception as error:
        raise ValueError(f"it is cut short or damaged ({error})") from error


def _read_archive(file: BinaryIO, key: str, prefix: str) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        pickled = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        with archive.open(pickled) as own:
            content = read_pickle(BytesIO(own.read(_LARGEST_PICKLE))).content
        folder, left = pickled.removesuffix("data.pkl"), _size(file)

        def part(name: str) -> bytes:
            nonlocal left
            found = archive.getinfo(f"{folder}data/{name}")
            if found.compress_type != zipfile.ZIP_STORED:
                raise PickleError("its weights are compressed")
            # Entries may lie on one another: together they would be more than the file.
            left -= found.file_size
            if left < 0:
                raise ValueError("its parts have more bytes than the file")
            return archive.read(found)

        return _values(_wanted(content, key, prefix), part)


def _read_old(file: BinaryIO, key: str, prefix: str) -> dict[str, NDArray[Any]]:
    pickles = BytesIO(file.read(_LARGEST_PICKLE))
    for _ in range(3):  # the number, the version, the machine: always little-endian today
        read_pickle(pickles)
    tensors = read_pickle(pickles)
    names = read_pickle(pickles).content
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError("its parts have no names")
    file.seek(pickles.tell())
    size, places = _size(file), dict[str, tuple[int, int]]()
    for name in names:
        (count,) = struct.unpack("<q", file.read(8))
        place, length = file.tell(), count * tensors.parts[name].itemsize
        if not 0 <= length <= size - place:
            raise ValueError("a part of a length that cannot be")
        places[name] = place, length
        file.seek(length, 1)

    def part(name: str) -> bytes:
        place, length = places[name]
        file.seek(place)
        return file.read(length)

    return _values(_wanted(tensors.content, key, prefix), part)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _values(wanted: list[tuple[str, TensorPlace]], part: _Part) -> dict[str, NDArray[Any]]:
    """Find the values of tensors; a part in which several lie is read once."""
    read = cache(part)
    return {name: tensor.values(read(tensor.part)) for name, tensor in wanted}


def _wanted(content: Any, key: str, prefix: str) -> list[tuple[str, TensorPlace]]:
    """Give the tensors whose names begin so."""
    state = content.get(key)
    if state is None:
        raise PickleError(f"it has no {key}")
    found = [(name, own) for name, own in state.items() if name.startswith(prefix)]
    if not all(isinstance(own, TensorPlace) for _, own in found):
        raise PickleError("its weights are no tensors")
    return found
