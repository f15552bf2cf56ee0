"""Models as data: layers, for any task.

Everything that depends on a model's shape is derived from here: the manifest of its tensors, the
Keras model, the TFLite graphs. No TensorFlow is needed to know a model.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from shared.errors import SettingsError
from shared.layers import (
    HEAD,
    LOGITS,
    LSTM,
    Conv1D,
    Dense,
    Hidden,
    Layer,
    StatisticsPooling,
    check_hidden,
)
from shared.registry import Registry
from shared.task import DEFAULT_TASK, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Count = TypeVar("_Count", "int", "NDArray[np.int32]")


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
                    time, width = layer.outputs(time), n
                case StatisticsPooling():
                    shapes = []
                    time, width = 1, 2 * width
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

    @property
    def labels(self) -> int:
        """Number of logits."""
        return len(self.task.labels)

    @property
    def variable(self) -> bool:
        """Whether utterances have lengths of their own; ``frames`` is then the longest."""
        return self.task.front_end.variable

    @cached_property
    def pools(self) -> bool:
        """Whether it asks for the true lengths of utterances: it pools over their frames."""
        return any(isinstance(layer, StatisticsPooling) for layer in self.layers)

    @cached_property
    def reach(self) -> int:
        """How many frames of an utterance one frame behind all convolutions is computed from."""
        reach, apart = 1, 1
        for layer in self._convolutions:
            reach += apart * layer.edge
            apart *= layer.stride
        return reach

    @cached_property
    def stride(self) -> int:
        """By how many frames of an utterance those behind all convolutions lie apart."""
        return math.prod(layer.stride for layer in self._convolutions)

    @property
    def _convolutions(self) -> list[Conv1D]:
        return [layer for layer in self.layers if isinstance(layer, Conv1D)]

    def behind(self, frames: _Count) -> _Count:
        """Count the frames behind all convolutions, of so many of an utterance: none, or fewer."""
        return (frames - self.reach) // self.stride + 1

    def at(self, frames: int) -> Self:
        """Give the same model for utterances of another length."""
        return self if frames == self.frames else replace(self, frames=frames)

    @cached_property
    def embedding(self) -> Self:
        """The same model without its logits: it ends with its last hidden layer."""
        return replace(self, layers=self.layers[:-1])

    @cached_property
    def parameters(self) -> int:
        """Number of weights: the length of the flat vector."""
        return sum(spec.size for spec in self.manifest)

    @cached_property
    def head_offset(self) -> int:
        """Where the head begins in the flat vector; what lies before it is the body."""
        return next(spec.offset for spec in self.manifest if spec.layer in (HEAD, LOGITS))


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A Keras model of one's own, which can be simulated.

    Attributes
    ----------
    build
        Called with the frames of an utterance (``None`` where they vary), the features of a frame
        and the number of labels; gives a ``keras.Model``.
    """

    build: Callable[[int | None, int, int], Any]


OWN: Final[dict[str, Hidden]] = {
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
    "tdnn": (
        Conv1D("frame1", 128, kernel=5),
        Conv1D("frame2", 128, dilation=2),
        Conv1D("frame3", 128, dilation=3),
        Conv1D("frame4", 128, kernel=1),
        Conv1D("frame5", 128, kernel=1),
        StatisticsPooling("statistics"),
        Dense(HEAD, 128),
    ),
    "tdnn13": (
        Conv1D("frame1", 192, kernel=9, stride=4),
        Conv1D("frame2", 192),
        Conv1D("frame3", 192, kernel=1),
        Conv1D("frame4", 192),
        Conv1D("frame5", 192, kernel=1),
        Conv1D("frame6", 192),
        Conv1D("frame7", 192, kernel=1),
        Conv1D("frame8", 192),
        Conv1D("frame9", 192, kernel=1),
        Conv1D("frame10", 192),
        Conv1D("frame11", 384, kernel=1),
        StatisticsPooling("statistics"),
        Dense(HEAD, 768),
    ),
    "mlp": (Dense(HEAD, 256),),
    "head": (),
}
"""Each model's layers but for the logits, of which there are as many as a task has labels.

The first three are those of Chau & Garces (2021). ``tdnn`` is a small x-vector network (Snyder et
al., 2018): a time-delay neural network, for utterances of any length. ``tdnn13`` is one of 13
layers with weights, as that of Zhou & Beigi (2020): eleven that give every fourth frame, one of
which sees 0.49 s at a hop of 10 ms, the twelfth an utterance's embedding, the last the logits.
``head`` is the logits alone, softmax regression: what a frozen encoder's vectors need; ``mlp``, a
multi-layer perceptron, has a hidden layer before them, which two tasks can share.
"""


def _check(thing: Any) -> Hidden | KerasModel:
    if isinstance(thing, tuple):
        return check_hidden(thing)
    if callable(thing):
        return KerasModel(thing)
    raise TypeError(
        f"it is of type {type(thing).__name__}, neither a tuple of layers nor a function that "
        "builds a Keras model"
    )


MODELS: Final = Registry[Hidden | KerasModel]("model", OWN, _check, group="chorus.architectures")
"""What ``--model`` can name: layers, or a function that builds a Keras model."""


def architecture_of(name: str, task: Task) -> Architecture:
    """Give the model of this name for a task.

    A module of one's own is imported where an option names it (:data:`MODELS`), and never because a
    file or a message does.

    Raises
    ------
    SettingsError
        If there is none, it does not fit the task's front end, or it is a Keras model.
    """
    if not MODELS.has(name):
        raise MODELS.missing(name)
    found = MODELS.get(name)
    if isinstance(found, KerasModel):
        raise SettingsError(
            f"{name} builds a Keras model: it runs on no device and in no federation of devices.",
            "Simulate it with --engine keras, or describe it by the layers of shared.layers.",
        )
    logits = Dense(LOGITS, len(task.labels), hidden=False)
    front_end = task.front_end
    model = Architecture(name, (*found, logits), front_end.frames, front_end.features, task)
    if model.variable and not model.pools:
        raise SettingsError(
            f"{name} needs utterances of one length; {front_end.name}'s vary.",
            "Use the model tdnn.",
        )
    if model.reach > front_end.frames:
        raise SettingsError(
            f"{name} needs utterances of at least {model.reach} frames; "
            f"{front_end.name}'s have {front_end.frames}.",
            "Use the model head." if front_end.frames == 1 else "Use a model with shorter kernels.",
        )
    return model
