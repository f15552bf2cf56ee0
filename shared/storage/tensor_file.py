"""Safetensors files, read and written without a second copy of their values.

The format (https://huggingface.co/docs/safetensors) is eight bytes with the length of a header,
the header, and the values. The ``safetensors`` library maps a file, and mapped pages count as the
process's memory beside the copy that is made of them; here values go straight from the file to
where they belong. Files come from the network too: nothing in them is believed before it is
checked, and checking takes no memory for values.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import WeightsError
from shared.storage.files import open_file, replacing

HEADER_LIMIT: Final = 1 << 16
"""Bytes a header may have; those of our largest model have 2,000."""

_RANK_LIMIT: Final = 32
"""Axes that NumPy's arrays may have."""

_NAME_LIMIT: Final = 256
"""Characters of a name."""

_LENGTH: Final = struct.Struct("<Q")

DTYPES: Final = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
"""NumPy's types by their names in the format; it has more, for which NumPy has none."""

_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


class _HeaderError(Exception):
    """What is wrong with a header."""


@dataclass(frozen=True, slots=True)
class TensorSlot:
    """Where a tensor lies in its file.

    Attributes
    ----------
    dtype
        Its type as the format names it, a key of :data:`DTYPES`.
    shape
        Its axes.
    begin, end
        Offsets in the file of its first byte and of the one behind its last.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


class TensorFile:
    """A safetensors file whose header has been checked.

    The file is opened anew for each reading, so that any number of them can be looked at.

    Parameters
    ----------
    path
        The file.
    header_limit
        Bytes its header may have.
    called
        What errors call it, instead of its path.

    Attributes
    ----------
    path, called
        The same.
    metadata
        The header's own texts.
    tensors
        Every tensor by name, in the order of the file.

    Raises
    ------
    WeightsError
        If the file is missing or cannot be read, if its header is damaged or larger than
        it may be, or if the tensors it lists do not fill the file exactly.
    """

    def __init__(
        self, path: Path, *, header_limit: int = HEADER_LIMIT, called: str | None = None
    ) -> None:
        self.path = path
        self.called = called or str(path)
        self._identity: tuple[int, ...] | None = None
        with self._opened() as file:
            status = os.fstat(file.fileno())
            self._identity = _identity(status)
            try:
                self.metadata, self.tensors = _parse(file, status.st_size, header_limit)
            except _HeaderError as error:
                raise self._damaged(str(error)) from error
            except OSError as error:
                raise WeightsError(f"Cannot read {self.called}: {error.strerror}.") from error

    def read(self, name: str) -> NDArray[Any]:
        """Read a tensor whole; raise as :meth:`read_into` does."""
        slot = self.tensors[name]
        flat = np.empty(slot.size, DTYPES[slot.dtype])
        self.read_into(name, flat)
        return flat.reshape(slot.shape)

    def read_into(self, name: str, out: NDArray[Any], start: int = 0) -> None:
        """Fill an array with a tensor's values, or with some of them.

        Parameters
        ----------
        name
            The tensor.
        out
            Shape ``(n,)``, contiguous, of the tensor's dtype.
        start
            Index, in the tensor laid out flat, of the value that goes to ``out[0]``.

        Raises
        ------
        WeightsError
            If the file has been changed or removed since its header was read.
        ValueError
            If the tensor does not have such values; if ``out`` is not such an array.
        """
        slot = self.tensors[name]
        if out.ndim != 1 or not out.flags.c_contiguous or out.dtype != DTYPES[slot.dtype]:
            raise ValueError(f"{name} takes a flat contiguous array of {DTYPES[slot.dtype]}")
        if not 0 <= start <= start + out.size <= slot.size:
            raise ValueError(f"{name} has no values {start} to {start + out.size}")
        left = out.view(np.uint8).data
        with self._opened() as file:
            try:
                file.seek(slot.begin + start * out.itemsize)
                while left:
                    # One reading gives at most 2 GB.
                    if not (count := file.readinto(left)):
                        raise self._damaged("it has become shorter")
                    left = left[count:]
            except OSError as error:
                raise WeightsError(f"Cannot read {self.called}: {error.strerror}.") from error

    def _opened(self) -> FileIO:
        """Open the file, unless it is no file or not the one whose header was read."""
        try:
            file = open_file(self.path)
        except FileNotFoundError as error:
            raise WeightsError(f"There is no file {self.called}.", "Check the name.") from error
        except OSError as error:
            raise WeightsError(f"Cannot read {self.called}: {error.strerror}.") from error
        if self._identity not in (None, _identity(os.fstat(file.fileno()))):
            file.close()
            raise WeightsError(f"{self.called} was changed while it was read.", "Try again.")
        return file

    def _damaged(self, why: str) -> WeightsError:
        return WeightsError(f"{self.called} is not a whole safetensors file ({why}).")


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file, whole or not at all, without copying contiguous tensors.

    Parameters
    ----------
    path
        Where to.
    tensors
        Of the types in :data:`DTYPES`.
    metadata
        Texts for the header.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written.
    """
    with replacing(path) as aside, aside.open("wb") as file:
        for part in _parts(tensors, metadata):
            # Not `tofile`, whose error on a full disk does not say what it is.
            file.write(part)


def tensors_digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Compute the SHA-256, in hexadecimal, of the file that :func:`write_tensors` would write."""
    found = hashlib.sha256()
    for part in _parts(tensors, metadata):
        found.update(part)
    return found.hexdigest()


def _parts(
    tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    """Give a file's header, then the values of its tensors."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    # As the format asks: wider types first, so that each tensor is aligned.
    ordered = sorted(tensors.items(), key=lambda item: -item[1].itemsize)
    begin = 0
    for name, tensor in ordered:
        end = begin + tensor.nbytes
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": tensor.shape,
            "data_offsets": (begin, end),
        }
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield _LENGTH.pack(len(text)) + text
    for _, tensor in ordered:
        yield np.ascontiguousarray(tensor).data


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Tell a file from its successor of the same name, and from itself before a change."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _parse(
    file: FileIO, bytes_: int, header_limit: int
) -> tuple[dict[str, str], dict[str, TensorSlot]]:
    """Read and check the header of a file of so many bytes."""
    prefix = file.read(_LENGTH.size)
    length = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else 0
    if not 0 < length <= min(header_limit, bytes_ - _LENGTH.size):
        raise _HeaderError(f"its header should have 1 to {header_limit} bytes, says {length}")
    header = _json(file.read(length))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _HeaderError("its metadata are not texts")
    begin = _LENGTH.size + length
    found = [(name, _slot(name, entry, begin)) for name, entry in header.items()]
    found.sort(key=lambda item: (item[1].begin, item[1].end))
    for name, slot in found:
        if slot.begin != begin:
            raise _HeaderError(f"tensor {name} does not follow the one before it")
        begin = slot.end
    if begin != bytes_:
        raise _HeaderError(f"its tensors end at byte {begin} of {bytes_}")
    return metadata, dict(found)


def _json(text: bytes) -> dict[str, Any]:
    """Parse a header: an object without repeated names, each of which can be printed."""
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    # A number of thousands of digits is a ValueError too.
    except (ValueError, RecursionError) as error:
        raise _HeaderError("its header is not JSON") from error
    if not isinstance(header, dict):
        raise _HeaderError("its header is not an object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _HeaderError("its header repeats a name")
    # Names reach logs and terminals.
    if not all(name.isprintable() and len(name) <= _NAME_LIMIT for name in found):
        raise _HeaderError("its header has a name that cannot be printed")
    return found


def _refuse(constant: str) -> None:
    raise _HeaderError(f"its header holds {constant}")


def _slot(name: str, entry: Any, origin: int) -> TensorSlot:
    """Check what a header says of one tensor; ``origin`` is the offset of the first value."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            numbers = (*shape, begin, end)
        case _:
            raise _HeaderError(f"tensor {name} is not described as the format asks")
    # `True` is an int too.
    if len(shape) > _RANK_LIMIT or any(type(n) is not int or n < 0 for n in numbers):
        raise _HeaderError(f"tensor {name} has a shape or a place that cannot be")
    if dtype not in DTYPES:
        raise _HeaderError(f"tensor {name} is of a type that NumPy does not have")
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise _HeaderError(f"tensor {name} does not have the bytes of its shape")
    return TensorSlot(dtype, tuple(shape), origin + begin, origin + end)
