"""A network that was taught to tell speakers, and the file that it lies in.

The one of Wan, Wang, Papir & Moreno, *Generalized End-to-End Loss for Speaker Verification* (2018,
https://arxiv.org/abs/1710.10467), called GE2E after its loss, as Resemblyzer publishes it: three
recurrent layers over a mel spectrum, and behind the last frame a linear layer, ReLU and length 1.

The file is a safetensors file. Its metadata are those of :class:`SpeakerEncoder`, what is good to
know of its origin, and a card (:mod:`shared.model_notes.model_card`). Its tensors, float32, are
those of Keras' layers, with the gates in the order input, forget, cell, output:

==============================  ============================
``lstm1/kernel``                ``(40, 4 width)``; of the layers behind it ``(width, 4 width)``
``lstm1/recurrent_kernel``      ``(width, 4 width)``
``lstm1/bias``                  ``(4 width,)``
``embedding/kernel``            ``(width, units)``
``embedding/bias``              ``(units,)``
==============================  ============================
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.encoders.encoder import check_pool
from shared.errors import WeightsError
from shared.storage.tensor_file import TensorFile, write_tensors

FORMAT: Final = "chorus-speaker-encoder 1"
"""What files of this layout call themselves."""

MELS: Final = 40
"""Bands of the spectrum that it hears."""

EMBEDDING: Final = "embedding"
"""Stands for the layers that are pooled, where the embedding is taken instead."""

_WIDEST: Final = 1024
_MOST_LAYERS: Final = 8
"""Sizes that are believed; published are 256 and 3."""


@dataclass(frozen=True, eq=False)
class SpeakerEncoder:
    """Recurrent layers that tell speakers, and what is taken of them.

    Attributes
    ----------
    width
        Values that a layer gives of a frame.
    units
        Values of the embedding.
    layers
        How many there are.
    pool
        The layers of whose outputs mean and standard deviation over the frames of speech are taken,
        from 1; empty: the embedding.
    tensors
        See above.
    origin
        What is good to know of where it comes from, by name: ``source_sha256``, ``licence``,
        ``card``.
    """

    width: int
    units: int
    layers: int
    pool: tuple[int, ...]
    tensors: Mapping[str, NDArray[np.float32]]
    origin: Mapping[str, str]

    @property
    def features(self) -> int:
        """Length of an utterance's vector."""
        return 2 * self.width * len(self.pool) or self.units

    def write(self, path: Path) -> None:
        """Write its file, whole or not at all; raises :class:`StorageError` if it cannot be."""
        facts = {
            "format": FORMAT,
            "width": str(self.width),
            "units": str(self.units),
            "layers": str(self.layers),
            "pool": ",".join(map(str, self.pool)) or EMBEDDING,
        }
        write_tensors(path, self.tensors, {**facts, **self.origin})


def tensor_shapes(width: int, units: int, layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give the name and the shape of each tensor, in order."""
    for layer in range(1, layers + 1):
        yield f"lstm{layer}/kernel", (MELS if layer == 1 else width, 4 * width)
        yield f"lstm{layer}/recurrent_kernel", (width, 4 * width)
        yield f"lstm{layer}/bias", (4 * width,)
    yield "embedding/kernel", (width, units)
    yield "embedding/bias", (units,)


def check_sizes(width: int, units: int, layers: int) -> None:
    """Raise :class:`ValueError` if no such network has sizes like these; with a clause."""
    if not (1 <= width <= _WIDEST and 1 <= units <= _WIDEST and 1 <= layers <= _MOST_LAYERS):
        raise ValueError(f"it cannot have {layers} layers of {width} and {units} units")


def parse_pool(layers: int, pool: str) -> tuple[int, ...]:
    """Read which of so many layers are pooled; empty for the embedding.

    Raises
    ------
    ValueError
        If they are no rising numbers of layers; with a clause that says so.
    """
    if pool == EMBEDDING:
        return ()
    found = tuple(int(number) if number.isdecimal() else 0 for number in pool.split(","))
    check_pool(found)
    if found[-1] > layers:
        raise ValueError(f"there are {layers} layers")
    return found


def read_speaker_encoder(path: Path) -> SpeakerEncoder:
    """Read a speaker encoder's file.

    Raises
    ------
    WeightsError
        If it is missing, cut short, of another layout, or holds values that cannot be.
    """
    file = TensorFile(path)
    if file.metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is no speaker encoder of this version of chorus-edge.",
            "Make one: converters import-speaker-encoder.",
        )
    try:
        return _described(file)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{path} is a damaged speaker encoder: {error}.",
            "Make it again: converters import-speaker-encoder.",
        ) from error


def _described(file: TensorFile) -> SpeakerEncoder:
    """Read the tensors that a file's metadata ask for; raise ValueError if they are not those."""
    facts = dict(file.metadata)
    facts.pop("format")
    width, units, layers = (int(facts.pop(name)) for name in ("width", "units", "layers"))
    check_sizes(width, units, layers)
    pool = parse_pool(layers, facts.pop("pool"))
    wanted = dict(tensor_shapes(width, units, layers))
    if {name: (slot.dtype, slot.shape) for name, slot in file.tensors.items()} != {
        name: ("F32", shape) for name, shape in wanted.items()
    }:
        raise ValueError("its tensors are not those that it should have")
    tensors = {name: file.read(name) for name in wanted}
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} holds values that are not finite")
    return SpeakerEncoder(width, units, layers, pool, tensors, facts)
