"""An encoder as a value, and the file that it lies in.

The file is a safetensors file. Its metadata are those of :class:`Encoder` and what is good to know
of its origin; its tensors are, for each product of :data:`CONVOLUTIONS` and :data:`PRODUCTS`,

==================  ==========================  ====================================================
``NAME/kernel``     int8 or float32             ``(outputs, inputs)``; of a convolution
                                                ``(outputs, 3, inputs)``; all of one type
``NAME/scale``      float32 ``(outputs,)``      what one unit of a row stands for, if int8
``NAME/bias``       float32 ``(outputs,)``
==================  ==========================  ====================================================

Products of layer 1 are called ``layer1/query`` and so on. What a layer normalises by learnt gains
and offsets is folded into the product behind it, the scale of attention into the query.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shared.errors import WeightsError
from shared.storage.files import open_file
from shared.storage.tensor_file import TensorFile, write_tensors

FORMAT: Final = "chorus-encoder 1"
"""What files of this layout call themselves."""

HEAD_WIDTH: Final = 64
"""Values of an attention head, in every Whisper."""

TAPS: Final = 3
"""Frames that a convolution looks at."""

CONVOLUTIONS: Final = ("conv1", "conv2")
PRODUCTS: Final = ("query", "key", "value", "out", "up", "down")
"""A layer's matrix products, in their order."""

MOST_LAYERS: Final = 32
WIDEST: Final = 1280
"""Layers and width of the largest Whisper."""

Pooling = Literal["mean", "mean+std"]

HEADER_LIMIT: Final = 1 << 18
"""Bytes of a header; that of 32 layers has 60,000."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """The first layers of a Whisper's encoder, and what is taken of their outputs.

    Attributes
    ----------
    mels
        Bands of the spectrum that it hears.
    width
        Values of a layer's output.
    pool
        The layers whose outputs are pooled, from 1; there are as many layers as the last says.
    pooling
        ``mean`` over the frames of speech, or ``mean+std``: mean and standard deviation.
    tensors
        See above.
    origin
        What is good to know of where it comes from, by name: ``source_sha256``, ``licence``.
    """

    mels: int
    width: int
    pool: tuple[int, ...]
    pooling: Pooling
    tensors: Mapping[str, NDArray[Any]]
    origin: Mapping[str, str]

    @property
    def heads(self) -> int:
        """Heads of its attention."""
        return self.width // HEAD_WIDTH

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.pool[-1]

    @property
    def features(self) -> int:
        """Length of an utterance's vector."""
        return self.width * len(self.pool) * len(self.pooling.split("+"))

    def write(self, path: Path) -> None:
        """Write its file, whole or not at all; raises :class:`StorageError` if it cannot be."""
        write_tensors(path, self.tensors, self._metadata)

    @property
    def _metadata(self) -> dict[str, str]:
        return {
            "format": FORMAT,
            "mels": str(self.mels),
            "width": str(self.width),
            "heads": str(self.heads),
            "layers": str(self.layers),
            "pool": ",".join(map(str, self.pool)),
            "pooling": self.pooling,
            **self.origin,
        }


def product_shapes(mels: int, width: int, layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give the name of each product of an encoder and the shape of its kernel, in order."""
    yield "conv1", (width, TAPS, mels)
    yield "conv2", (width, TAPS, width)
    for layer in range(1, layers + 1):
        for product in PRODUCTS:
            rows = width * 4 if product == "up" else width
            columns = width * 4 if product == "down" else width
            yield f"layer{layer}/{product}", (rows, columns)


def check_sizes(mels: int, width: int) -> None:
    """Raise :class:`ValueError` if no Whisper has so many bands or such a width; with a clause."""
    if not HEAD_WIDTH <= width <= WIDEST or width % HEAD_WIDTH or not 1 <= mels <= WIDEST:
        raise ValueError(f"no Whisper has a width of {width} and {mels} bands")


def check_pool(pool: tuple[int, ...]) -> None:
    """Raise :class:`ValueError` unless these are layers in rising order."""
    if not pool or list(pool) != sorted(set(pool)) or not 1 <= pool[0] <= pool[-1] <= MOST_LAYERS:
        raise ValueError(f"the layers to pool should rise from 1 to at most {MOST_LAYERS}")


def read_encoder(path: Path) -> Encoder:
    """Read an encoder's file.

    Raises
    ------
    WeightsError
        If it is missing, cut short, of another layout, or holds values that cannot be.
    """
    file = TensorFile(path, header_limit=HEADER_LIMIT)
    if file.metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is no encoder of this version of chorus-edge.",
            "Make one of a Whisper's weights: converters import-encoder.",
        )
    try:
        encoder = _described(file)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{path} is a damaged encoder: {error}.", "Make it again: converters import-encoder."
        ) from error
    return encoder


def file_digest(path: Path) -> str:
    """Give the SHA-256, in hexadecimal, of a file.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise WeightsError(f"There is no file {path}.", "Check the name.") from error
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {error.strerror}.") from error


def check_digest(path: Path, digest: str) -> None:
    """Raise :class:`WeightsError` unless a file is the one of a task's digest."""
    if file_digest(path) != digest:
        raise WeightsError(
            f"{path} is not the encoder of the task any more.",
            "Put the encoder's file back, or install chorus-edge again if it came with it.",
        )


def _described(file: TensorFile) -> Encoder:
    """Read the tensors that a file's metadata ask for; raise ValueError if they are not those."""
    facts = dict(file.metadata)
    mels, width = (int(facts.pop(name)) for name in ("mels", "width"))
    pool = tuple(map(int, facts.pop("pool").split(",")))
    pooling = facts.pop("pooling")
    if pooling not in get_args(Pooling):
        raise ValueError("its pooling is none of " + ", ".join(get_args(Pooling)))
    check_pool(pool)
    check_sizes(mels, width)
    for name in ("format", "heads", "layers"):
        facts.pop(name)
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {}
    whole = not any(name.endswith("/scale") for name in file.tensors)
    for name, shape in product_shapes(mels, width, pool[-1]):
        wanted[f"{name}/kernel"] = ("F32" if whole else "I8", shape)
        for kind in ("bias",) if whole else ("scale", "bias"):
            wanted[f"{name}/{kind}"] = ("F32", shape[:1])
    if {name: (slot.dtype, slot.shape) for name, slot in file.tensors.items()} != wanted:
        raise ValueError("its tensors are not those that it should have")
    tensors = {name: file.read(name) for name in wanted}
    for name, tensor in tensors.items():
        if tensor.dtype != np.int8 and not np.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are not finite")
    return Encoder(mels, width, pool, pooling, tensors, facts)  # type: ignore[arg-type] # checked
