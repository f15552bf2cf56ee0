"""Reads the ``model.bin`` of a faster-whisper folder: a Whisper as CTranslate2 stores it.

The file begins with the version of its format, a specification's name and its revision; then come
variables: name, shape, type, bytes. All numbers are little-endian. Texts have their length before
them and a zero behind. (``ctranslate2/specs/model_spec.py`` of CTranslate2 4.)
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from converters.encoders.published import unfit

MAGIC: Final = b"WhisperSpec\x00"
"""How the specification's name of a Whisper is written, from byte 6 on."""

_FORMATS: Final = range(4, 7)
"""Versions of the format whose variables say their type by a number."""

_TYPES: Final = ("<f4", "<i1", "<i2", "<i4", "<f2")
"""NumPy's types by the numbers of the format; it has bfloat16 too, which NumPy does not."""

_NAMES: Final = {
    "self_attention/layer_norm/gamma": "attn_ln.weight",
    "self_attention/layer_norm/beta": "attn_ln.bias",
    "self_attention/linear_1/weight": "attn.out.weight",
    "self_attention/linear_1/bias": "attn.out.bias",
    "ffn/layer_norm/gamma": "mlp_ln.weight",
    "ffn/layer_norm/beta": "mlp_ln.bias",
    "ffn/linear_0/weight": "mlp.0.weight",
    "ffn/linear_0/bias": "mlp.0.bias",
    "ffn/linear_1/weight": "mlp.2.weight",
    "ffn/linear_1/bias": "mlp.2.bias",
}
_FUSED: Final = "self_attention/linear_0/"
"""Query, key and value in one matrix."""


def read_ctranslate2(path: Path) -> dict[str, NDArray[Any]]:
    """Read the encoder's tensors, those of int8 as float32.

    Raises
    ------
    WeightsError
        If the file is cut short, or of another format.
    """
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _tensors(dict(_variables(content)))
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        raise unfit(path, f"it is cut short or damaged ({error})") from error


def _tensors(stored: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Give variables the names and the values that they have in openai-whisper."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, value in stored.items():
        if name.endswith("_scale") or value.ndim == 0:
            continue
        scale = stored.get(f"{name}_scale")
        whole = value if scale is None else _unscaled(value, scale)
        tensors.update(_renamed(name, whole))
    return tensors


def _variables(content: mmap.mmap) -> Iterator[tuple[str, NDArray[Any]]]:
    """Go through a file's variables; give those of the encoder, by what follows ``encoder/``."""
    place = 0

    def take(form: str) -> int:
        nonlocal place
        (number,) = struct.unpack_from(form, content, place)
        place += struct.calcsize(form)
        return int(number)

    def text() -> str:
        nonlocal place
        length = take("<H")
        place += length
        return content[place - length : place - 1].decode()

    if take("<I") not in _FORMATS:
        raise ValueError("another version of the format")
    text()
    take("<I")
    for _ in range(take("<I")):
        name = text()
        shape = tuple(take("<I") for _ in range(take("<B")))
        kind, size = take("<B"), take("<I")
        if place + size > len(content):
            raise ValueError(f"{name} ends behind its end")
        if name.startswith("encoder/"):
            if kind >= len(_TYPES):
                raise ValueError(f"{name} is of a type that NumPy does not have")
            values = np.frombuffer(content, np.uint8, size, place).view(_TYPES[kind])
            yield name.removeprefix("encoder/"), values.reshape(shape)
        place += size


def _unscaled(value: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.float32]:
    """Undo the rounding to int8: a row was multiplied by its scale."""
    rows = scale.astype(np.float32).reshape(-1, *[1] * (value.ndim - 1))
    with np.errstate(all="ignore"):  # what is not finite then is refused with the rest
        return value.astype(np.float32) / rows


def _renamed(name: str, value: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give a variable the name it has in openai-whisper; the fused matrix is three there."""
    match name.split("/", 1):
        case ["conv1" | "conv2" as convolution, kind]:
            yield f"{convolution}.{kind}", value
        case ["position_encodings", _]:
            yield "positional_embedding", value
        case [layer, rest] if layer.startswith("layer_") and rest in _NAMES:
            yield f"blocks.{layer.removeprefix('layer_')}.{_NAMES[rest]}", value
        case [layer, rest] if layer.startswith("layer_") and rest.startswith(_FUSED):
            block, kind = layer.removeprefix("layer_"), rest.removeprefix(_FUSED)
            if len(value) % 3:
                raise ValueError(f"{name} is not three matrices")
            for part, third in zip(("query", "key", "value"), np.split(value, 3), strict=True):
                yield f"blocks.{block}.attn.{part}.{kind}", third
