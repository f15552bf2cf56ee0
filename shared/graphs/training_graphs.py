"""The graphs that train: the signatures ``train`` and ``train_head``. They hold no weights.

Weights are inputs and gradients outputs, so one file serves every round, and the optimiser works in
place on the runtime's own input buffers. The inputs whose names end in ``_weights`` are, in the
order of their tensors, the flat vector, cut: a layer's kernels and bias are one matrix, or several
parts of it, as they lie there (see :mod:`shared.graphs.layers`); those in ``_across`` are
transposed parts. ``<name>_gradient`` is an output of the same shape. ``<layer>_mask`` is a layer's
dropout mask; below the head, ``train_head`` takes it in bytes (:data:`shared.tflite.MASK_UNIT`).
A model that pools over time takes ``shares`` (:func:`shared.lengths.shares`).
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise, takewhile
from typing import Any, Final

import numpy as np

from shared.architectures import Architecture
from shared.graphs.graph import Graph, Tensor
from shared.graphs.layers import (
    Backward,
    conv1d,
    cross_entropy,
    dense,
    relu_dropout,
    statistics_pooling,
)
from shared.graphs.lstm import lstm, lstm_forward
from shared.layers import HEAD, LOGITS, LSTM, Conv1D, Dense, Layer, StatisticsPooling
from shared.tflite import MASK_UNIT

BATCH: Final = 20
"""Examples in a batch of the training signatures; a smaller batch is padded, a larger one split."""
_PART: Final = 2 * 512 * 512
"""Values in one part of a large matrix (2 MB): one that stays in a cache while it is rearranged."""

_GROUP: Final = 2
"""Examples that pass convolutions together where only the head is trained."""

_Passed = tuple[str, list[str], Backward]
"""A layer in the forward pass: its name, its inputs with weights, and the way back."""


def training_graph(architecture: Architecture) -> Graph:
    """Build the signature ``train``."""
    g = Graph("train")
    features, targets = _inputs(g, architecture)
    model = _Model(g, architecture)
    logits, tape = model.forward(architecture.layers, features)
    _loss_and_gradients(g, logits, targets, tape)
    return g


def head_graph(architecture: Architecture) -> Graph:
    """Build the signature ``train_head``.

    Without a way back, what lies between is not kept: convolutions take a few examples at a time,
    recurrent layers a few frames, and the latter's matrices come as they are multiplied.
    """
    g = Graph("train_head")
    features, targets = _inputs(g, architecture)
    model = _Model(g, architecture)
    body = list(takewhile(lambda layer: not isinstance(layer, Dense), architecture.layers))
    x = features
    if body:
        x = (model.recurrent if isinstance(body[0], LSTM) else model.convolutions)(body, features)
    logits, tape = model.forward(architecture.layers[len(body) :], x)
    while tape[0][0] not in (HEAD, LOGITS):
        tape.pop(0)
    g.output("logits", logits)
    _loss_and_gradients(g, logits, targets, tape)
    return g


def _inputs(g: Graph, architecture: Architecture) -> tuple[Tensor, Tensor]:
    features = g.input("features", (BATCH, architecture.frames, architecture.features))
    return features, g.input("targets", (BATCH, architecture.labels))


def _loss_and_gradients(g: Graph, logits: Tensor, targets: Tensor, tape: list[_Passed]) -> None:
    """Name the loss, and the gradients of all layers on the tape, as outputs."""
    loss, gradient = cross_entropy(g, logits, targets)
    g.output("loss", loss)
    for layer, names, backward in reversed(tape):
        gradients, below = backward(gradient, layer != tape[0][0])
        for part, matrix in zip(names, gradients, strict=True):
            g.output(f"{part}_gradient", matrix)
        if below is None:
            break
        gradient = below


class _Model:
    """Adds layers to a graph, each with its weights and mask as inputs.

    Attributes
    ----------
    first
        The first of the examples that layers to come are for, if they are for some only.
    """

    def __init__(self, g: Graph, architecture: Architecture) -> None:
        self._g, self._architecture = g, architecture
        self.first = 0
        if architecture.pools:
            g.input("shares", (BATCH, architecture.behind(architecture.frames)))

    def convolutions(self, layers: Sequence[Layer], features: Tensor) -> Tensor:
        """Add layers that a few examples pass at a time, without a way back."""
        outputs = []
        for self.first in range(0, BATCH, _GROUP):
            group = self._g.slice(features, 0, self.first, _GROUP)
            outputs.append(self.forward(layers, group)[0])
        return self._g.concat(outputs, 0)

    def recurrent(self, layers: Sequence[Layer], features: Tensor) -> Tensor:
        """Add recurrent layers without a way back, their matrices transposed."""
        weights = [list(self._weights(layer, across=True).values()) for layer in layers]
        return lstm_forward(self._g, self._feature_major(features), weights, BATCH)

    def forward(self, layers: Sequence[Layer], x: Tensor) -> tuple[Tensor, list[_Passed]]:
        """Add layers; give their output, and the way back through each."""
        tape: list[_Passed] = []
        if isinstance(layers[0], LSTM):
            x = self._feature_major(x)
        for layer in layers:
            parts = self._weights(layer)
            x, backward = self._layer(layer, x, list(parts.values()))
            tape.append((layer.name, list(parts), backward))
        return x, tape

    def _feature_major(self, features: Tensor) -> Tensor:
        g, (batch, frames, width) = self._g, features.shape
        return g.reshape(g.transpose(features, (2, 1, 0)), (width, frames * batch))

    def _input(self, name: str, shape: tuple[int, ...], *kind: Any) -> Tensor:
        """Add an input, or find it where an earlier group of examples has added it."""
        return self._g.inputs.get(name) or self._g.input(name, shape, *kind)

    def _weights(self, layer: Layer, *, across: bool = False) -> dict[str, Tensor]:
        """Add a layer's matrix as an input; or its parts, of a recurrent or a large dense one."""
        specs = [spec for spec in self._architecture.manifest if spec.layer == layer.name]
        if not specs:
            return {}
        columns = specs[-1].size
        rows = sum(spec.size for spec in specs) // columns
        if isinstance(layer, LSTM):
            cuts = [0, *accumulate(spec.size // columns for spec in specs)]
        else:
            step = min(_PART // columns, rows - 1) if isinstance(layer, Dense) else rows - 1
            cuts = [*range(0, rows - 1, step), rows]
        single = len(cuts) == 2  # noqa: PLR2004 - where it begins and where it ends
        names = [layer.name] if single else [f"{layer.name}_{n}" for n in range(len(cuts) - 1)]
        kind = "across" if across else "weights"
        shapes = [(stop - start, columns) for start, stop in pairwise(cuts)]
        return {
            f"{name}_{kind}": self._input(f"{name}_{kind}", shape[::-1] if across else shape)
            for name, shape in zip(names, shapes, strict=True)
        }

    def _layer(self, layer: Layer, x: Tensor, parts: list[Tensor]) -> tuple[Tensor, Backward]:
        """Add one layer with its activation and dropout."""
        g, shape = self._g, x.shape
        if isinstance(layer, LSTM):
            return lstm(g, x, parts, BATCH, sequences=layer.sequences)
        if isinstance(layer, StatisticsPooling):
            return statistics_pooling(g, x, self._shares(shape[0]))
        if isinstance(layer, Conv1D):
            z, through = conv1d(g, x, parts[0], layer)
        else:
            z, through = dense(g, g.reshape(x, (shape[0], math.prod(shape[1:]))), parts)
        if isinstance(layer, Dense) and not layer.hidden:
            return z, through
        y, activation = relu_dropout(g, z, self._mask(layer, z))

        def backward(dy: Tensor, wanted: bool) -> tuple[list[Tensor], Tensor | None]:  # noqa: FBT001 - Backward
            gradients, dx = through(activation(dy), wanted)
            return gradients, dx and g.reshape(dx, shape)

        return y, backward

    def _shares(self, count: int) -> Tensor:
        """Give what each frame of some of the examples counts."""
        whole = self._g.inputs["shares"]
        return whole if count == BATCH else self._g.slice(whole, 0, self.first, count)

    def _mask(self, layer: Layer, z: Tensor) -> Tensor:
        """Add the dropout mask of a layer's output; in bytes, where a few examples pass at once."""
        g, name, shape = self._g, f"{layer.name}_mask", (BATCH, *z.shape[1:])
        if z.shape[0] == BATCH:
            return self._input(name, shape)
        whole = self._input(name, shape, np.int8, MASK_UNIT)
        mask = g.slice(whole, 0, self.first, z.shape[0])
        return g.op("DEQUANTIZE", [mask], mask.shape, version=2, dtype=np.float32)
