"""An update as a file: what a client sends and the aggregator aggregates from.

It is a safetensors file. Its metadata name codec, architecture and task; its tensors are the
arrays of the codec, flat, under ``delta/`` and, where SCAFFOLD has a second vector, ``control/``.
The same function writes it on a device and in a simulation; :mod:`shared.codecs` has the formats.

What a lossy codec leaves out is not lost: the client adds it to its next update (error feedback;
Seide et al., 2014, https://doi.org/10.21437/Interspeech.2014-274; Karimireddy et al., 2019,
https://arxiv.org/abs/1901.09847).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.codecs.codec import Codec, InFile, InMemory
from shared.errors import WeightsError
from shared.storage.tensor_file import DTYPES, HEADER_LIMIT, TensorFile, write_tensors
from shared.weights import Vector, Weights, check_task, model_metadata, norm, pieces, shortening

EXTRA_VECTORS: Final = ("control",)
"""What a strategy may ask clients to send besides the difference of their weights: the change of
their control variate (SCAFFOLD)."""

DELTA: Final = "delta/"
"""What the names of the difference's arrays begin with."""

_CONTROL: Final = "control/"


@dataclass(frozen=True, slots=True)
class EncodedUpdate:
    """An update ready to be sent.

    Attributes
    ----------
    tensors, metadata
        What its file holds.
    delta, control
        The vectors as the aggregator will read them; ``control`` is ``None`` if there is none.
    residual
        What the codec left out, to be given with the client's next update: shape
        ``(parameters,)``; ``None`` if nothing was.
    """

    tensors: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, str]
    delta: Vector
    control: Vector | None
    residual: Weights | None

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; raise :class:`StorageError` if the disk is full.

        Its size follows from the codec, the architecture and whether there is a control variate.
        """
        write_tensors(path, self.tensors, self.metadata)


def encode_update(
    delta: Weights,
    architecture: Architecture,
    codec: Codec,
    rng: np.random.Generator,
    *,
    residual: Vector | None = None,
    control: Weights | None = None,
    clip_norm: float | None = None,
) -> EncodedUpdate:
    """Encode what a client has learned in a round.

    Parameters
    ----------
    delta
        Its weights after training minus the round's global weights, shape ``(parameters,)``.
        Its memory becomes the result's.
    architecture
        The model.
    codec
        One of those that are welcome in the round.
    rng
        ``stream(seed, "codec", client, round)``, on a device as in a simulation.
    residual
        What the client's last update that counted left out.
    control
        SCAFFOLD's change of the client's control variate. It has no residual: the client should
        add :attr:`EncodedUpdate.control` to its own variate, as the aggregator does to its sum;
        the next change then begins from what was really sent.
    clip_norm
        The Euclidean norm that the difference has at most, as the aggregator will read it. What is
        cut off for that is no part of the residual: it would come again in each round.

    Raises
    ------
    TrainingError
        If a value is not finite.
    """
    total = delta
    if not codec.lossless or residual is not None:
        # A zero without a sign, as adding a residual of zeros gives.
        np.add(delta, np.float32(0), out=total)
    if residual is not None:
        for piece in pieces(len(total)):
            total[piece] += residual[piece]
    if clip_norm is not None:
        _shorten(total, norm(total), clip_norm)
    tensors, decoded = _encoded(DELTA, total, architecture, codec, rng)
    # Rounding may have made it longer.
    while clip_norm is not None and _shorten(total, norm(decoded), clip_norm):
        tensors, decoded = _encoded(DELTA, total, architecture, codec, rng)
    second: Vector | None = None
    if control is not None:
        more, second = _encoded(_CONTROL, control, architecture, codec, rng)
        tensors |= more
    metadata = {**model_metadata(architecture), "codec": codec.name}
    if codec.lossless:
        return EncodedUpdate(tensors, metadata, decoded, second, None)
    for piece in pieces(len(total)):
        total[piece] -= decoded[piece]
    return EncodedUpdate(tensors, metadata, decoded, second, total)


def _shorten(vector: Weights, length: float, most: float) -> bool:
    """Make a vector shorter, in place, if what was made of it is longer than it may be."""
    if not length > most:
        return False
    vector *= shortening(length, most)
    return True


def largest_file(codec: Codec, architecture: Architecture, extra: Sequence[str] = ()) -> int:
    """Give the bytes that an update's file has at most: a longer one need not be received."""
    layout = codec.layout(architecture).values()
    vector = sum(form.size * DTYPES[form.dtype].itemsize for form in layout)
    return 8 + HEADER_LIMIT + (1 + len(extra)) * vector


class UpdateFile:
    """An update's file, read piece by piece.

    Parameters
    ----------
    path
        The file.
    codec, architecture
        What it should be of.
    extra
        Which vectors it should hold besides the difference: some of :data:`EXTRA_VECTORS`.
    called
        What errors call it, instead of its path.

    Attributes
    ----------
    delta
        The difference of the weights.
    control
        The change of the control variate; ``None`` if there should be none.

    Raises
    ------
    WeightsError
        If the file does not hold exactly such tensors, or their places or scales are wrong; so
        does reading from the vectors.
    """

    def __init__(
        self,
        path: Path,
        codec: Codec,
        architecture: Architecture,
        extra: Sequence[str] = (),
        *,
        called: str | None = None,
    ) -> None:
        file = TensorFile(path, called=called)
        prefixes = [DELTA, *(f"{name}/" for name in extra)]
        _check_layout(file, codec, architecture, prefixes)
        vectors = [codec.decode(InFile(file, prefix), architecture) for prefix in prefixes]
        self._called = file.called
        self.delta: Vector = vectors[0]
        self.control: Vector | None = dict(zip(extra, vectors[1:], strict=True)).get("control")

    def check(self, largest_norm: float) -> float:
        """Read all of it once and check every value.

        Parameters
        ----------
        largest_norm
            Bound of the L2 norm of ``delta``.

        Returns
        -------
        float
            The L2 norm of ``delta``.

        Raises
        ------
        WeightsError
            If a value is not finite, the norm is larger than the bound, or the file is damaged.
        """
        if self.control is not None:
            self._norm(self.control)
        found = self._norm(self.delta)
        # Not `>`, which a bound that is NaN would slip through.
        if not found <= largest_norm:
            raise WeightsError(
                f"{self._called} has norm {_above(found, largest_norm)}, "
                f"more than the {largest_norm:.15g} allowed.",
                "Train with a smaller learning rate or fewer epochs.",
            )
        return found

    def _norm(self, vector: Vector) -> float:
        """Compute the L2 norm; raise if a value is not finite."""
        found = norm(vector)
        if not math.isfinite(found):
            raise WeightsError(f"{self._called} holds values that are not finite.")
        return found


def _above(norm: float, bound: float) -> str:
    """Write a norm with as many digits as show that it is above a bound."""
    texts = (f"{norm:.{digits}g}" for digits in range(5, 17))
    return next((text for text in texts if float(text) > bound), f"{norm:.17g}")


def _encoded(
    prefix: str,
    vector: Weights,
    architecture: Architecture,
    codec: Codec,
    rng: np.random.Generator,
) -> tuple[dict[str, NDArray[Any]], Vector]:
    """Encode one vector; give its tensors, and the vector as they tell it."""
    arrays = codec.encode(vector, architecture, rng)
    tensors = {prefix + name: array for name, array in arrays.items()}
    return tensors, codec.decode(InMemory(arrays), architecture)


def _check_layout(
    file: TensorFile, codec: Codec, architecture: Architecture, prefixes: list[str]
) -> None:
    """Raise unless the file says what it is and lists exactly the tensors of that."""
    wrong = f"{file.called} is not an update of {architecture.name} in {codec.name}"
    for name, value in (("architecture", architecture.name), ("codec", codec.name)):
        if file.metadata.get(name) != value:
            raise WeightsError(f"{wrong}: its metadata say another {name}.")
    check_task(file.metadata, architecture.task, file.called)
    expected = {
        prefix + name: form
        for prefix in prefixes
        for name, form in codec.layout(architecture).items()
    }
    if odd := file.tensors.keys() ^ expected.keys():
        raise WeightsError(f"{wrong} (tensor {min(odd)}).")
    for name, form in expected.items():
        slot = file.tensors[name]
        if (slot.dtype, slot.shape) != (form.dtype, (form.size,)):
            raise WeightsError(
                f"{wrong}: {name} should be {form.dtype} [{form.size}], "
                f"is {slot.dtype} {list(slot.shape)}."
            )
