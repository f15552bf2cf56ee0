"""Graphs that recognise one utterance: the signature ``infer``.

Every product is a ``FULLY_CONNECTED``, which reads each weight once for a single utterance. A
convolution is one on shifted frames side by side, a recurrent layer one for all frames' inputs and
one for each frame. In an inference-only file the weights are constants; in a trainable file they
are inputs, in the layout that the op takes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.graphs.graph import Graph, Tensor
from shared.graphs.layers import shifted_inputs, statistics_pooling
from shared.graphs.tflite_file import serialise
from shared.layers import LSTM, Conv1D, Dense, StatisticsPooling
from shared.tflite import across
from shared.weights import Weights, split

Quantize = Literal["float32", "float16", "int8"]


def inference_file(architecture: Architecture, weights: Weights, quantize: Quantize) -> bytes:
    """Build the inference-only file of an architecture, with the signature ``infer``.

    Parameters
    ----------
    architecture
        Which.
    weights
        Shape ``(parameters,)``.
    quantize
        ``float32``; ``float16``, half the bytes; ``int8``, a quarter: one scale a matrix, inputs
        rounded as they come (dynamic range).

    Returns
    -------
    bytes
        Input ``features`` ``(1, frames, features)``, output ``logits`` ``(1, labels)``, both
        float32; with pooling over time also the input ``shares`` (:func:`shared.lengths.shares`).
    """
    tensors = split(weights, architecture)

    def constant(g: Graph, name: str) -> Tensor:
        tensor = across(tensors[name])
        return g.constant(tensor) if tensor.ndim == 1 else _stored(g, tensor, quantize)

    return serialise([_graph(architecture, constant, version=3 if quantize == "int8" else 1)])


def inference_graph(architecture: Architecture) -> Graph:
    """Build the signature ``infer`` of a trainable file, with the weights as inputs.

    An input has the name of its tensor in the manifest, and the layout of
    :func:`shared.tflite.across`.
    """
    shapes = {s.name: across(np.empty(s.shape, np.float32)).shape for s in architecture.manifest}
    return _graph(architecture, lambda g, name: g.input(name, shapes[name]), version=1)


def _graph(
    architecture: Architecture, source: Callable[[Graph, str], Tensor], version: int
) -> Graph:
    g = Graph("infer")
    frames, width = architecture.frames, architecture.features
    x = g.reshape(g.input("features", (1, frames, width)), (frames, width))
    if architecture.pools:
        g.input("shares", (1, architecture.behind(frames)))
    builder = _Builder(g, source, version)
    for layer in architecture.layers:
        match layer:
            case Conv1D(name=name):
                shifted = shifted_inputs(g, x, 0, layer)
                x = builder.product(name, g.joined(shifted, 1), relu=True)
            case StatisticsPooling():
                x, _ = statistics_pooling(g, g.reshape(x, (1, *x.shape)), g.inputs["shares"])
            case LSTM(name=name, sequences=sequences):
                outputs = builder.recurrent(name, x)
                x = g.concat(outputs, 0) if sequences else outputs[-1]
            case Dense(name=name, hidden=hidden):
                flat = g.reshape(x, (1, x.shape[0] * x.shape[1]))
                x = builder.product(name, flat, relu=hidden)
    g.output("logits", x)
    return g


@dataclass(frozen=True, slots=True)
class _Builder:
    """Adds products to a graph, with weights from a source and FULLY_CONNECTED of a version."""

    g: Graph
    source: Callable[[Graph, str], Tensor]
    version: int

    def product(self, layer: str, x: Tensor, *, relu: bool) -> Tensor:
        """Add ``x K + b`` of a layer."""
        kernel, bias = (self.source(self.g, f"{layer}/{kind}") for kind in ("kernel", "bias"))
        return self._connect(x, kernel, bias, relu=relu)

    def recurrent(self, layer: str, x: Tensor) -> list[Tensor]:
        """Add a recurrent layer; give ``h`` of each frame, shape ``(1, units)``."""
        g = self.g
        inputs = self.product(layer, x, relu=False)
        kernel = self.source(g, f"{layer}/recurrent_kernel")
        units = inputs.shape[1] // 4
        hidden: list[Tensor] = []
        cell: Tensor | None = None
        for t in range(x.shape[0]):
            z = g.slice(inputs, 0, t, 1)
            if hidden:
                z = g.add(z, self._connect(hidden[-1], kernel, None, relu=False))
            both = g.unary("LOGISTIC", g.slice(z, 1, 0, 2 * units))
            candidate = g.unary("TANH", g.slice(z, 1, 2 * units, units))
            new = g.mul(g.slice(both, 1, 0, units), candidate)
            cell = g.add(g.mul(g.slice(both, 1, units, units), cell), new) if cell else new
            o = g.unary("LOGISTIC", g.slice(z, 1, 3 * units, units))
            hidden.append(g.mul(o, g.unary("TANH", cell)))
        return hidden

    def _connect(self, x: Tensor, kernel: Tensor, bias: Tensor | None, *, relu: bool) -> Tensor:
        return self.g.op(
            "FULLY_CONNECTED",
            [x, kernel, bias],
            (x.shape[0], kernel.shape[0]),
            "FullyConnectedOptions",
            version=self.version,
            fusedActivationFunction=int(relu),
        )


def _stored(g: Graph, kernel: NDArray[np.float32], quantize: Quantize) -> Tensor:
    """Store a kernel as a constant."""
    if quantize == "int8":
        scale = float(np.abs(kernel).max() / 127) or 1.0
        return g.constant(np.rint(kernel / scale), np.int8, scale)
    if quantize == "float16":
        half = g.constant(kernel, np.float16)
        return g.op("DEQUANTIZE", [half], half.shape, version=3, dtype=np.float32)
    return g.constant(kernel)
