"""Models as data: the three of Chau & Garces (2021), for any task.

Everything that depends on a model's shape is derived from here: the manifest of its tensors, the
Keras model, the TFLite training graph. No TensorFlow is needed to know a model.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from shared.errors import SettingsError
from shared.task import DEFAULT_TASK, Task

FRAMES: Final = DEFAULT_TASK.front_end.frames
FEATURES: Final = DEFAULT_TASK.front_end.features

DROPOUT: Final = 0.2
"""Rate of the dropout behind each hidden block but the recurrent ones."""

HEAD: Final = "embedding_layer"
"""The layer at which the head begins: it and everything after it."""

ModelName = Literal["dense", "conv", "lstm"]


@dataclass(frozen=True, slots=True)
class Conv1D:
    """A convolution over time, kernel 3, no padding, with ReLU and dropout."""

    name: str
    filters: int
    kernel: int = 3


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer; hidden ones have ReLU and dropout, the last gives the logits.

    Inputs with a time axis are flattened first, frame by frame.
    """

    name: str
    units: int
    hidden: bool = True


@dataclass(frozen=True, slots=True)
class LSTM:
    """A recurrent layer as Keras defines it (gate order input, forget, cell, output)."""

    name: str
    units: int
    sequences: bool


Layer = Conv1D | Dense | LSTM


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a model: its name, its shape, and where it lies in the flat vector.

    Attributes
    ----------
    name
        ``layer/kernel``, ``layer/recurrent_kernel`` or ``layer/bias``.
    shape
        As in Keras.
    fan_in, fan_out
        Units in and out, as the initialiser counts them.
    offset
        Index of its first value in the flat vector of all weights.
    """

    name: str
    shape: tuple[int, ...]
    fan_in: int
    fan_out: int
    offset: int

    dtype = "float32"

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def layer(self) -> str:
        """Name of the layer it belongs to."""
        return self.name.split("/")[0]

    @property
    def where(self) -> slice:
        """Its place in the flat vector."""
        return slice(self.offset, self.offset + self.size)


@dataclass(frozen=True)
class Architecture:
    """A model: layers, and the manifest of tensors that follows from them.

    Attributes
    ----------
    name
        Of the layers, whatever the task.
    layers
        From the input on; the last gives the logits.
    frames, features
        Shape of an utterance; of the default task if not given.
    task
        What it recognises, which its files carry; the default task if not given.
    """

    name: str
    layers: tuple[Layer, ...]
    frames: int = DEFAULT_TASK.front_end.frames
    features: int = DEFAULT_TASK.front_end.features
    task: Task = DEFAULT_TASK

    @cached_property
    def manifest(self) -> tuple[TensorSpec, ...]:
        """Every tensor, in the order of the flat vector."""
        specs: list[TensorSpec] = []
        offset = 0
        time, width = self.frames, self.features
        for layer in self.layers:
            shapes: list[tuple[str, tuple[int, ...], int, int]]
            match layer:
                case Conv1D(filters=n, kernel=k):
                    shapes = [("kernel", (k, width, n), k * width, k * n), ("bias", (n,), n, n)]
                    time, width = time - k + 1, n
                case LSTM(units=n):
                    shapes = [
                        ("kernel", (width, 4 * n), width, 4 * n),
                        ("recurrent_kernel", (n, 4 * n), n, 4 * n),
                        ("bias", (4 * n,), n, n),
                    ]
                    time, width = (time, n) if layer.sequences else (1, n)
                case Dense(units=n):
                    flat = time * width
                    shapes = [("kernel", (flat, n), flat, n), ("bias", (n,), n, n)]
                    time, width = 1, n
            for kind, shape, fan_in, fan_out in shapes:
                spec = TensorSpec(f"{layer.name}/{kind}", shape, fan_in, fan_out, offset)
                specs.append(spec)
                offset += spec.size
        return tuple(specs)

    @cached_property
    def parameters(self) -> int:
        """Number of weights: the length of the flat vector."""
        return sum(spec.size for spec in self.manifest)

    @cached_property
    def head_offset(self) -> int:
        """Where the head begins in the flat vector; what lies before it is the body."""
        return next(spec.offset for spec in self.manifest if spec.layer == HEAD)


_HIDDEN: Final[dict[str, tuple[Layer, ...]]] = {
    "dense": (Conv1D("conv1", 512), Dense("dense1", 512), Dense(HEAD, 512)),
    "conv": (
        Conv1D("conv1", 512),
        Conv1D("conv2", 128),
        Conv1D("conv3", 128),
        Conv1D("conv4", 64),
        Dense(HEAD, 256),
    ),
    "lstm": (
        LSTM("lstm1", 512, sequences=True),
        LSTM("lstm2", 512, sequences=False),
        Dense(HEAD, 512),
    ),
}
"""Each model's layers but for the logits, of which there are as many as a task has labels."""


def architecture_of(name: str, task: Task) -> Architecture:
    """Give the model of this name for a task.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if name not in _HIDDEN:
        raise SettingsError(f"There is no model {name[:64]}; there are: {', '.join(_HIDDEN)}.")
    logits = Dense("logits", len(task.labels), hidden=False)
    front_end = task.front_end
    return Architecture(name, (*_HIDDEN[name], logits), front_end.frames, front_end.features, task)


ARCHITECTURES: Final[dict[str, Architecture]] = {
    name: architecture_of(name, DEFAULT_TASK) for name in _HIDDEN
}
