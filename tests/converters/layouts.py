"""Writes encoders as CTranslate2, openai-whisper, transformers and Resemblyzer do."""

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.encoders import ctranslate2_file, transformers_file
from converters.encoders.importing import import_encoder
from shared.encoders.encoder import Encoder
from shared.storage.tensor_file import write_tensors
from tests.shared.encoders.whisper import small

Tensors = Mapping[str, NDArray[np.float32]]

_SHAPE = b"(K\x01X\x01\x00\x00\x00xJ\x00\x00\x00\x40t"
"""A tuple of 1, a text and 2^30."""

HOSTILE: Final = {
    "nested": b"\x80\x02}N" + 4000 * b"\x85" + b"Ns.",
    "far": b"\x80\x02Nr" + struct.pack("<I", 1 << 26) + b".",
    "doubled": b"\x80\x02}N\x85" + 40 * b"q\x00h\x00\x86" + b"Ns.",
    "repeated": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n"
    b"FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00" + _SHAPE + _SHAPE + b"tR.",
    "compared": b"\x80\x02ccollections\nOrderedDict\n]]N" + 4000 * b"\x85" + b"a]aa\x85R.",
}
"""Pickles that would have Python's unpickler crash, or take gigabytes or hours."""

_FUSED: Final = ("query", "key", "value")


def write_ctranslate2(path: Path, tensors: Tensors, kind: str = "float16") -> None:
    """Write a ``model.bin``, its matrices of ``float32``, ``float16`` or ``int8``."""
    names = {theirs: ours for ours, theirs in ctranslate2_file._NAMES.items()}
    found: dict[str, NDArray[Any]] = {"num_heads": np.array(2, np.int16)}
    for name, value in tensors.items():
        head, _, rest = name.partition(".")
        if head == "positional_embedding":
            found["position_encodings/encodings"] = value
        elif head.startswith("conv"):
            found[f"{head}/{rest}"] = value
        elif (split := name.split(".", 2))[2] in names:
            found[f"layer_{split[1]}/{names[split[2]]}"] = value
    for layer in {name.split(".")[1] for name in tensors if name.startswith("blocks.")}:
        block, place = f"blocks.{layer}.attn", f"layer_{layer}/{ctranslate2_file._FUSED}"
        found[f"{place}weight"] = np.vstack([tensors[f"{block}.{n}.weight"] for n in _FUSED])
        none = np.zeros_like(tensors[f"{block}.query.bias"])
        found[f"{place}bias"] = np.concatenate(
            [tensors.get(f"{block}.{n}.bias", none) for n in _FUSED]
        )
    found = {f"encoder/{name}": value for name, value in found.items()}
    found["decoder/embeddings/weight"] = np.zeros((3, 4), np.float32)
    for name, value in list(found.items()):
        if kind == "int8" and value.ndim == 2 and "layer_" in name:
            scale = (127 / np.abs(value).max(1)).astype(np.float32)
            found[name] = np.rint(value * scale[:, None]).astype(np.int8)
            found[f"{name}_scale"] = scale
        elif kind == "float16" and value.dtype == np.float32:
            found[name] = value.astype(np.float16)
    codes = [np.dtype(code) for code in ctranslate2_file._TYPES]
    with path.open("wb") as file:
        file.write(struct.pack("<IH", 6, len(ctranslate2_file.MAGIC)) + ctranslate2_file.MAGIC)
        file.write(struct.pack("<II", 3, len(found)))
        for name, value in sorted(found.items()):
            text = name.encode() + b"\0"
            file.write(struct.pack("<H", len(text)) + text)
            file.write(struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape))
            file.write(struct.pack("<BI", codes.index(value.dtype), value.nbytes))
            file.write(value.tobytes())
        file.write(struct.pack("<I", 0))


def write_transformers(path: Path, tensors: Tensors) -> None:
    """Write a ``model.safetensors``."""
    names = {theirs: ours for ours, theirs in transformers_file._NAMES.items()}
    found = {"model.decoder.embed_tokens.weight": np.zeros((3, 4), np.float32)}
    for name, value in tensors.items():
        renamed = "embed_positions.weight" if name == "positional_embedding" else name
        if name.startswith("blocks."):
            _, layer, rest = name.split(".", 2)
            part, kind = rest.rsplit(".", 1)
            renamed = f"layers.{layer}.{names[part]}.{kind}"
        found[f"model.encoder.{renamed}"] = value
    write_tensors(path, found, {"format": "pt"})


class _Tensor:
    """What PyTorch would pickle."""

    def __init__(self, part: int, value: NDArray[Any]) -> None:
        self.part, self.value = part, value

    def __reduce__(self) -> tuple[Any, ...]:
        value, torch = self.value, sys.modules["torch._utils"]
        stride = tuple(step // value.itemsize for step in value.strides)
        arguments: tuple[Any, ...] = (_Part(self), 0, value.shape, stride, False, OrderedDict())
        return torch._rebuild_tensor_v2, arguments


class _Part:
    def __init__(self, tensor: _Tensor) -> None:
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Part):
            return None
        value = obj.tensor.value
        kind = "HalfStorage" if value.dtype == np.float16 else "FloatStorage"
        storage = getattr(sys.modules["torch"], kind)
        return "storage", storage, str(obj.tensor.part), "cpu", value.size


def write_openai(
    path: Path, tensors: Tensors, patch: pytest.MonkeyPatch, extra: Any = None
) -> None:
    """Write a ``.pt`` of float16; ``extra`` is pickled too."""
    half = {name: value.astype(np.float16) for name, value in tensors.items()}
    state = {f"encoder.{name}": _Tensor(n, value) for n, (name, value) in enumerate(half.items())}
    content = {"dims": {"n_mels": 80}, "model_state_dict": OrderedDict(state), "extra": extra}
    _write_archive(path, content, list(half.values()), patch)


def write_hostile(path: Path, pickled: bytes, *, old: bool) -> None:
    """Write a ``.pt`` of this pickle, as PyTorch before 1.6 did, or as later ones do."""
    if old:
        path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickled)
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/data.pkl", pickled)


def write_shared(path: Path, count: int, value: NDArray[Any], patch: pytest.MonkeyPatch) -> None:
    """Write a ``.pt`` of so many tensors that all lie in the same part."""
    state = OrderedDict((str(number), _Tensor(0, value)) for number in range(count))
    _write_archive(path, {"model_state": state}, [value], patch)


def write_resemblyzer(
    path: Path,
    tensors: Tensors,
    patch: pytest.MonkeyPatch,
    *,
    old: bool = True,
    extra: Any = None,
) -> None:
    """Write a ``.pt`` of float32, as PyTorch before 1.6 did, or as later ones do."""
    state = {name: _Tensor(n, value) for n, (name, value) in enumerate(tensors.items())}
    content = {"step": 7, "model_state": OrderedDict(state), "optimizer_state": extra}
    values = list(tensors.values())
    if not old:
        _write_archive(path, content, values, patch)
        return
    with path.open("wb") as file:
        for own in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(own, file, protocol=2)
        file.write(_pickled(content, patch))
        # The parts come in the order of their names, which need not be that of the tensors.
        parts = sorted(map(str, range(len(values))))
        pickle.dump(parts, file, protocol=2)
        for part in parts:
            value = values[int(part)]
            file.write(struct.pack("<q", value.size) + value.tobytes())


def _write_archive(
    path: Path, content: Any, values: list[NDArray[Any]], patch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/data.pkl", _pickled(content, patch))
        for part, value in enumerate(values):
            archive.writestr(f"tiny/data/{part}", value.tobytes())


def _pickled(content: Any, patch: pytest.MonkeyPatch) -> bytes:
    """Pickle what PyTorch would, with stand-ins for its modules."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    for name in ("HalfStorage", "FloatStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2() -> None:
        """Stand for PyTorch's: only its name is written."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined] # the same
    patch.setitem(sys.modules, "torch", torch)
    patch.setitem(sys.modules, "torch._utils", utils)
    pickled = io.BytesIO()
    _Pickler(pickled, protocol=2).dump(content)
    return pickled.getvalue()


def small_encoder(folder: Path, *, int8: bool, seed: int = 0) -> Encoder:
    """Make an encoder of a small Whisper, of whose layers the first and the third are pooled."""
    write_transformers(folder / "model.safetensors", small(seed))
    return import_encoder(folder, (1, 3), int8=int8)
