"""Reads the tensors in a ``.pt`` of PyTorch without running any code that it asks for.

Such a file is a ZIP archive: a pickle of tensors that name the parts with their values, and those
parts. A pickle may call anything; this reader knows only the few calls that rebuild a tensor, and
does them itself, with NumPy. (``torch/serialization.py`` of PyTorch 2.)
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAGIC: Final = b"PK\x03\x04"
"""How a ZIP archive begins."""

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
        with zipfile.ZipFile(path) as archive:
            pickled = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            with archive.open(pickled) as file:
                content = _Unpickler(BytesIO(file.read(_LARGEST_PICKLE))).load()
            folder = pickled.removesuffix("data.pkl")
            return {
                name: _values(archive, folder, tensor)
                for name, tensor in content[key].items()
                if name.startswith(prefix)
            }
    except StopIteration:
        raise ValueError("the archive has no data.pkl") from None
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error
    # What a damaged archive or pickle raises is not told.
    except Exception as error:
        raise ValueError(f"it is cut short or damaged ({error})") from error


def _values(archive: zipfile.ZipFile, folder: str, tensor: Any) -> NDArray[Any]:
    if not isinstance(tensor, _Tensor):
        raise pickle.UnpicklingError("its weights are no tensors")
    part = archive.getinfo(f"{folder}data/{tensor.part}")
    if part.compress_type != zipfile.ZIP_STORED:
        raise pickle.UnpicklingError("its weights are compressed")
    content = archive.read(part)
    count = math.prod(tensor.shape)
    values = np.frombuffer(content, tensor.dtype, count, tensor.offset * tensor.dtype.itemsize)
    return values.reshape(tensor.shape)


class _Unpickler(pickle.Unpickler):
    """Knows how tensors are rebuilt, and nothing else."""

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
            case ("storage", np.dtype() as dtype, str(part), _, _):
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
