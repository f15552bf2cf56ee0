"""Weights as one flat float32 vector, and as safetensors files.

Inside the project the weights of a model are a vector of ``architecture.parameters`` float32
values, the tensors of the manifest one after the other: differences, averages and optimisers are
then plain arithmetic. In files and on the wire they are safetensors, one entry a tensor.
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from shared.architectures import Architecture, architecture_of
from shared.errors import SettingsError, WeightsError
from shared.model_notes import NO_NOTES, ModelNotes
from shared.model_notes.model_card import remark_on_no_speech
from shared.randomness import stream
from shared.storage.tensor_file import TensorFile, tensors_digest, write_tensors
from shared.task import DEFAULT_TASK, Task, options_for

Weights = NDArray[np.float32]
"""All weights of a model, or a difference of two: shape ``(parameters,)``, float32."""

PIECE: Final = 1 << 15
"""Values of a vector that are worked on at a time, unless there is a reason for another number:
128 KB, so that temporaries stay small, and in the processor's cache."""

_ANOTHER: Final = "Give weights of this model, or name the model they are of (--model)."


class Vector(Protocol):
    """A flat float32 vector that can be read piece by piece: an array, or a :class:`StoredVector`.

    NumPy takes it for an array: ``np.linalg.norm(vector)`` reads all of it.
    """

    def __len__(self) -> int:
        """Return the number of values."""
        ...

    def __getitem__(self, where: slice, /) -> Weights:
        """Read one contiguous piece."""
        ...

    def __array__(self, dtype: None = None, /) -> NDArray[Any]:
        """Read all of it, for NumPy."""
        ...


class StoredVector(ABC):
    """A :class:`Vector` whose values are read or computed when they are asked for."""

    __slots__ = ()

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of values."""

    @abstractmethod
    def __getitem__(self, where: slice, /) -> Weights:
        """Read one contiguous piece: shape ``(k,)``, float32."""

    def __array__(self, dtype: DTypeLike = None, /, *, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it, for NumPy: shape ``(n,)``, float32 unless another type is asked for."""
        if copy is False:
            raise ValueError("a vector that is read anew each time cannot be had without a copy")
        return np.asarray(self[:], dtype)


def pieces(whole: int | slice, size: int = PIECE) -> Iterator[slice]:
    """Cut a vector of this length, or a contiguous range, into slices of at most ``size``."""
    first, last = (0, whole) if isinstance(whole, int) else (whole.start, whole.stop)
    for start in range(first, last, size):
        yield slice(start, min(start + size, last))


def norm(vector: Vector) -> float:
    """Compute the Euclidean norm, in float64 and in a fixed order; not finite if a value is not."""
    squares = 0.0
    # Whoever asks sees a NaN, and needs no warning.
    with np.errstate(invalid="ignore"):
        for piece in pieces(len(vector)):
            values = vector[piece].astype(np.float64)
            # Not `dot`, whose threads wait for each other on a busy machine.
            squares += float(np.square(values, out=values).sum())
    # In float64 no sum of squares of finite float32 values is infinite.
    return math.sqrt(squares)


def shortening(length: float, most: float) -> np.float32:
    """Give what a vector of this norm is multiplied by, so that it is at most so long.

    It becomes a little shorter than that: rounding its values must not keep it too long for ever.
    """
    return np.float32(most / length * 0.9999)


def added(before: Vector, difference: Vector) -> Weights:
    """Add a difference to a model, as the aggregator and each device do it.

    Parameters
    ----------
    before, difference
        Of the same length.

    Returns
    -------
    Weights
        Shape ``(parameters,)``.
    """
    sum_ = np.empty(len(before), np.float32)
    for where in pieces(len(sum_)):
        np.add(before[where], difference[where], out=sum_[where])
    return sum_


def split(vector: Weights, architecture: Architecture) -> dict[str, NDArray[np.float32]]:
    """View a flat vector as the named tensors of its architecture, without copying."""
    return {spec.name: vector[spec.where].reshape(spec.shape) for spec in architecture.manifest}


def initial_weights(architecture: Architecture, rng: np.random.Generator) -> Weights:
    """Draw fresh weights as Keras does by default.

    Kernels are Glorot-uniform (Glorot & Bengio, 2010), recurrent kernels orthogonal (Saxe et al.,
    2014), biases zero but for the LSTM's forget gates, which are one (Jozefowicz et al., 2015). One
    kernel alone is zero: there is no symmetry to break, and what is random in directions that no
    example shows would stay.

    Returns
    -------
    Weights
        Shape ``(architecture.parameters,)``.
    """
    vector = np.zeros(architecture.parameters, np.float32)
    if sum(spec.name.endswith("kernel") for spec in architecture.manifest) == 1:
        return vector
    recurrent = {spec.layer for spec in architecture.manifest if "recurrent" in spec.name}
    for name, tensor in split(vector, architecture).items():
        spec = next(spec for spec in architecture.manifest if spec.name == name)
        if name.endswith("recurrent_kernel"):
            rows, columns = spec.shape
            q, r = np.linalg.qr(rng.standard_normal((columns, rows)))
            tensor[:] = (q * np.sign(np.diag(r))).T
        elif name.endswith("kernel"):
            limit = np.sqrt(6 / (spec.fan_in + spec.fan_out))
            tensor[:] = rng.uniform(-limit, limit, spec.shape)
        elif spec.layer in recurrent:
            units = spec.size // 4
            tensor[units : 2 * units] = 1
    return vector


def fresh_weights(architecture: Architecture, seed: int) -> Weights:
    """Draw the weights that a federation of this seed begins with, if it is given no others."""
    return initial_weights(architecture, stream(seed, "initial weights"))


def check_weights(
    vector: Weights, architecture: Architecture, what: str = "The weights to use"
) -> None:
    """Raise :class:`WeightsError` unless a vector is finite and the architecture's."""
    expected = (architecture.parameters,)
    if vector.shape != expected or vector.dtype != np.float32:
        raise WeightsError(
            f"{what} should be float32 of shape {expected} for {architecture.name}, "
            f"are {vector.dtype} of shape {vector.shape}.",
            _ANOTHER,
        )
    check_finite(vector, what)


def digest(vector: Weights, architecture: Architecture) -> str:
    """Name weights by the SHA-256, in hexadecimal, of what :func:`save_weights` writes of them."""
    return tensors_digest(split(vector, architecture), model_metadata(architecture))


def save_weights(
    path: Path, vector: Weights, architecture: Architecture, notes: ModelNotes = NO_NOTES
) -> None:
    """Write weights to a safetensors file, whole or not at all.

    Parameters
    ----------
    path
        The file.
    vector, architecture
        The weights, and what they belong to: the file says architecture and task.
    notes
        What it says besides (:func:`shared.model_notes.load_notes` reads that).
    """
    metadata = model_metadata(architecture) | notes.to_metadata()
    write_tensors(path, split(vector, architecture), metadata)


def model_metadata(architecture: Architecture) -> dict[str, str]:
    """Give the metadata of a file of weights, or of an update: ``architecture`` and ``task``.

    The default task is left out: its files are those of versions that knew no other.
    """
    metadata = {"architecture": architecture.name}
    if architecture.task != DEFAULT_TASK:
        metadata["task"] = json.dumps(architecture.task.to_dict(), separators=(",", ":"))
    return metadata


def task_of(metadata: Mapping[str, str], what: str) -> Task:
    """Read a file's task from its metadata; a file that names none is of the default task.

    Parameters
    ----------
    metadata
        Of a file of weights, or of an update.
    what
        What errors call the file.

    Raises
    ------
    WeightsError
        If what it names is no task.
    """
    if "task" not in metadata:
        return DEFAULT_TASK
    try:
        return Task.from_dict(json.loads(metadata["task"]))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{what} does not say what its weights recognise.") from error


def check_task(metadata: Mapping[str, str], wanted: Task, what: str) -> None:
    """Raise :class:`WeightsError` unless a file's metadata name the wanted task."""
    if error := another_task(task_of(metadata, what), wanted, what):
        raise error


def another_task(found: Task, wanted: Task, what: str) -> WeightsError | None:
    """Make an error of it that weights are of another task than is wanted; else ``None``."""
    difference = wanted.difference(found)
    if difference is None:
        return None
    options = options_for(found, wanted)
    other = f", or choose its task with {options}" if options else ""
    return WeightsError(
        f"{what} is of another task: {difference}.", f"Give one of this task{other}."
    )


@overload
def load_weights(path: Path, architecture: Architecture) -> Weights: ...
@overload
def load_weights(path: Path) -> tuple[Weights, Architecture]: ...
def load_weights(
    path: Path, architecture: Architecture | None = None
) -> Weights | tuple[Weights, Architecture]:
    """Read weights from a safetensors file, checked against their architecture's manifest.

    Names, shapes, dtypes and the file's length are checked before memory is set aside for the
    values; then that every value is finite. If the model was taught by what is no speech, that is
    said, once a process.

    Parameters
    ----------
    path
        The file.
    architecture
        What the weights must belong to; if not given, the file's metadata say it: its model, and
        its task.

    Returns
    -------
    Weights or (Weights, Architecture)
        The flat vector; with its architecture where that was not given.

    Raises
    ------
    WeightsError
        If the file is missing, not safetensors, of another architecture or task, or not finite.
    """
    file = TensorFile(path)
    if architecture:
        check_task(file.metadata, architecture.task, str(path))
    found = architecture or _architecture_named(file.metadata, path)
    _check_manifest(file, found)
    vector = np.empty(found.parameters, np.float32)
    for spec in found.manifest:
        file.read_into(spec.name, vector[spec.where])
    check_finite(vector, str(path))
    remark_on_no_speech(file.metadata)
    return vector if architecture else (vector, found)


def check_finite(vector: Weights, what: str) -> None:
    """Raise :class:`WeightsError` if a value is NaN or infinite."""
    for piece in pieces(len(vector)):
        if not np.isfinite(vector[piece]).all():
            raise WeightsError(
                f"{what} holds values that are not finite.",
                "They come from a training that diverged: take those of another one.",
            )


def architecture_in(path: Path) -> Architecture:
    """Read from a file of weights which architecture, of which task, they belong to.

    Raises
    ------
    WeightsError
        If the file is missing, not safetensors, or does not say it.
    """
    return _architecture_named(TensorFile(path).metadata, path)


def _architecture_named(metadata: Mapping[str, str], path: Path) -> Architecture:
    task, name = task_of(metadata, str(path)), metadata.get("architecture", "")
    try:
        return architecture_of(name, task)
    except SettingsError as error:
        why = error.problem if name else ""
        if ":" in name:
            why = (
                "It names the model by a module, and no file has a module imported. A device runs "
                "layers that an installed package offers; a Keras model is for simulations only."
            )
        raise WeightsError(
            f"{path} does not say which model its weights belong to.", why
        ) from error


def _check_manifest(file: TensorFile, architecture: Architecture) -> None:
    """Raise unless the file lists exactly the architecture's tensors."""
    wrong = f"{file.path} does not hold {architecture.name} weights"
    expected = {spec.name: spec for spec in architecture.manifest}
    if odd := file.tensors.keys() ^ expected.keys():
        raise WeightsError(f"{wrong} (tensor {min(odd)}).", _ANOTHER)
    for name, spec in expected.items():
        tensor = file.tensors[name]
        if tensor.shape != spec.shape or tensor.dtype != "F32":
            raise WeightsError(
                f"{wrong}: {name} should be float32 {list(spec.shape)}, "
                f"is {tensor.dtype} {list(tensor.shape)}.",
                _ANOTHER,
            )
