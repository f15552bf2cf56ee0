"""The layers that models are made of, and which of them can stand behind each other.

They train in Keras and, as TFLite graphs, on a device.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import takewhile
from typing import Any, Final, get_args

DROPOUT: Final = 0.2
"""Rate of the dropout behind each hidden block but the recurrent ones."""

HEAD: Final = "embedding_layer"
"""The layer at which the head begins: it and everything after it; without it, the logits."""


@dataclass(frozen=True, slots=True)
class Conv1D:
    """A convolution over time, without padding, with ReLU and dropout.

    Its kernel takes every ``dilation``-th frame. The first layer of a model may move by ``stride``
    frames at a time, and give so many times fewer.
    """

    name: str
    filters: int
    kernel: int = 3
    dilation: int = 1
    stride: int = 1

    @property
    def edge(self) -> int:
        """How many frames behind the first of them its kernel reaches."""
        return (self.kernel - 1) * self.dilation

    def outputs(self, frames: int) -> int:
        """Count the frames that it gives of some."""
        return (frames - self.edge - 1) // self.stride + 1


@dataclass(frozen=True, slots=True)
class StatisticsPooling:
    """Mean and standard deviation of each channel over an utterance's frames.

    As in x-vectors (Snyder et al., 2018), over true frames only. A frame behind convolutions counts
    if all that it was computed from are true frames; of an utterance that is too short for one such
    frame, the first counts. The standard deviation is ``sqrt(variance + POOLING_EPSILON)``.
    """

    name: str


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


Layer = Conv1D | StatisticsPooling | Dense | LSTM

POOLING_EPSILON: Final = 1e-5
"""Keeps the gradient of a standard deviation finite where all frames are the same."""

LOGITS: Final = "logits"
"""Name of the last layer, which a task adds: it has as many units as there are labels."""

Hidden = tuple[Layer, ...]
"""A model's layers but for the logits."""


def check_hidden(layers: tuple[Any, ...]) -> Hidden:
    """Make sure that layers can stand behind each other, up to the logits.

    That is convolutions, and statistics pooling behind them if wanted, or recurrent layers; then
    dense layers, the last of them called :data:`HEAD`.

    Raises
    ------
    TypeError
        If they cannot; with a clause that says why.
    """
    for layer in layers:
        if not isinstance(layer, get_args(Layer)):
            raise TypeError(f"{type(layer).__name__} is none of the layers in shared.layers")
        _check_numbers(layer)
    _check_names([layer.name for layer in layers])
    body = [*takewhile(lambda layer: not isinstance(layer, Dense), layers)]
    dense = layers[len(body) :]
    if not all(isinstance(layer, Dense) and layer.hidden for layer in dense):
        raise TypeError("all its layers from the first dense one on should be dense and hidden")
    if not dense or dense[-1].name != HEAD:
        raise TypeError(f"its last layer should be a dense one called {HEAD}")
    _check_body(body)
    return layers


def _check_numbers(layer: Layer) -> None:
    for field in fields(layer):
        value = getattr(layer, field.name)
        if field.name == "name":
            if not (isinstance(value, str) and value.isidentifier() and value.isascii()):
                raise TypeError(f"no layer can be called {value!r}")
        elif field.type is int and not (type(value) is int and value > 0):
            raise TypeError(f"the {field.name} of {layer.name} should be a number above zero")
    if isinstance(layer, Conv1D) and layer.stride > 1 and layer.dilation > 1:
        raise TypeError(f"{layer.name} should not have a stride and a dilation")


def _check_names(names: Sequence[str]) -> None:
    name, count = Counter([*names, LOGITS]).most_common(1)[0]
    if count > 1:
        raise TypeError(f"two of its layers are called {name}")
    # A large matrix comes to a graph in parts, which are numbered like this.
    numbered = (re.fullmatch(r"(.+)_\d+", name) for name in names)
    if clash := next((found for found in numbered if found and found[1] in names), None):
        raise TypeError(f"its layers cannot be called {clash[1]} and {clash[0]} both")


def _check_body(body: Sequence[Layer]) -> None:
    if any(isinstance(layer, Conv1D) and layer.stride > 1 for layer in body[1:]):
        raise TypeError("no layer but the first should have a stride")
    if any(isinstance(layer, LSTM) for layer in body):
        sequences = [isinstance(layer, LSTM) and layer.sequences for layer in body]
        alone = all(isinstance(layer, LSTM) for layer in body)
        if not alone or sequences != [True] * (len(body) - 1) + [False]:
            raise TypeError(
                "before its dense layers recurrent ones should stand alone, all but the last "
                "giving sequences"
            )
    elif any(isinstance(layer, StatisticsPooling) for layer in body[:-1]):
        raise TypeError("statistics pooling should stand once, behind all convolutions")
