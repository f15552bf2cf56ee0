"""Reads the tensors in a ``.pt`` of PyTorch without running any code that it asks for.

Such a file is a ZIP archive: a pickle of tensors that name the parts with their values, and those
parts. Before PyTorch 1.6 it was a row of pickles (a number that tells the format, the version, the
machine, the tensors, the names of the parts), and the parts behind them, each after its length.

A pickle may call anything; this reader knows only the few calls that rebuild a tensor, and does
them itself, with NumPy. (``torch/serialization.py`` of PyTorch 2, ``_legacy_load`` for the older.)
"""

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

MAGIC: Final = b"PK\x03\x04"
"""How a ZIP archive begins."""

OLD_MAGIC: Final = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""How a file begins from before PyTorch 1.6."""

_STORAGES: Final = {
    "HalfStorage": np.dtype("<f2"),
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}
"""NumPy's types by the classes that PyTorch names; bfloat16 it does not have."""

_LARGEST_PICKLE: Final = 16 << 20
"""Bytes of a pickle that is believed; that of the largest Whisper has 200 kB."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor that the pickle describes: its values lie in a part of the archive."""

    part: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]

    def values(self, content: bytes) -> NDArray[Any]:
        """Find its values in its part."""
        place, count = self.offset * self.dtype.itemsize, math.prod(self.shape)
        return np.frombuffer(content, self.dtype, count, place).reshape(self.shape)


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
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error
    # What a damaged archive or pickle raises is not told.
    except Exception as error:
        raise ValueError(f"it is cut short or damaged ({error})") from error


def _read_archive(file: BinaryIO, key: str, prefix: str) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        pickled = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        with archive.open(pickled) as part:
            content = _Unpickler(BytesIO(part.read(_LARGEST_PICKLE))).load()
        folder = pickled.removesuffix("data.pkl")
        return {
            name: tensor.values(_stored(archive, f"{folder}data/{tensor.part}"))
            for name, tensor in _wanted(content, key, prefix)
        }


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    part = archive.getinfo(name)
    if part.compress_type != zipfile.ZIP_STORED:
        raise pickle.UnpicklingError("its weights are compressed")
    return archive.read(part)


def _read_old(file: BinaryIO, key: str, prefix: str) -> dict[str, NDArray[Any]]:
    pickles = BytesIO(file.read(_LARGEST_PICKLE))
    for _ in range(3):  # the number, the version, the machine: always little-endian today
        _Unpickler(pickles).load()
    tensors = _Unpickler(pickles)
    content, names = tensors.load(), _Unpickler(pickles).load()
    file.seek(pickles.tell())
    places: dict[str, tuple[int, int]] = {}
    for name in names:
        (count,) = struct.unpack("<q", file.read(8))
        if count < 0:
            raise ValueError("a part of negative length")
        size = count * tensors.parts[name].itemsize
        places[name] = file.tell(), size
        file.seek(size, 1)

    def part(name: str) -> bytes:
        place, size = places[name]
        file.seek(place)
        return file.read(size)

    wanted = _wanted(content, key, prefix)
    return {name: tensor.values(part(tensor.part)) for name, tensor in wanted}


def _wanted(content: Any, key: str, prefix: str) -> list[tuple[str, _Tensor]]:
    """Give the tensors whose names begin so."""
    if key not in content:
        raise pickle.UnpicklingError(f"it has no {key}")
    found = [(name, own) for name, own in content[key].items() if name.startswith(prefix)]
    if not all(isinstance(own, _Tensor) for _, own in found):
        raise pickle.UnpicklingError("its weights are no tensors")
    return found


class _Unpickler(pickle.Unpickler):
    """Knows how tensors are rebuilt, and nothing else.

    Attributes
    ----------
    parts
        The types of the parts that it was told of, by name.
    """

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file)
        self.parts: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give what stands for a class that the pickle names."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (call := _CALLS.get(f"{module}.{name}")) is not None:
            return call
        raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype[Any]]:
        """Give the part of the archive and the type of its values."""
        match pid:
            # The last of six names a part of a part: nobody writes those any more.
            case ("storage", np.dtype() as dtype, str(part), _, _, *rest) if rest in ([], [None]):
                self.parts[part] = dtype
                return part, dtype
        raise pickle.UnpicklingError("its pickle names a part that is none")


def _tensor(
    storage: tuple[str, np.dtype[Any]],
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    *_: Any,
) -> _Tensor:
    """Stand for ``torch._utils._rebuild_tensor_v2``."""
    dense = [math.prod(shape[n + 1 :]) for n in range(len(shape))]
    if any(
        size > 1 and step != want for size, step, want in zip(shape, stride, dense, strict=True)
    ):
        raise pickle.UnpicklingError("a tensor of it is transposed")
    return _Tensor(*storage, offset, tuple(shape))


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    """Stand for ``torch._utils._rebuild_parameter``."""
    return tensor


_CALLS: Final[Mapping[str, Callable[..., Any]]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
