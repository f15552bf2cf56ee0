"""The graph of a time-delay network as an encoder: the signature ``encode``, for any length.

Weights are constants, so that XNNPACK computes it where the runtime has it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.encoders.network import Network
from shared.graphs.graph import Graph, Tensor
from shared.graphs.tflite_file import serialise
from shared.layers import POOLING_EPSILON, Conv1D, StatisticsPooling
from shared.tflite import across
from shared.weights import split

SIGNATURE: Final = "encode"

_Array = NDArray[np.float32]

_VALID: Final = 1
"""The padding that is none."""

_RELU: Final = 1
"""The fused activation of that name."""


def network_file(network: Network) -> bytes:
    """Build the TFLite file of a network.

    Parameters
    ----------
    network
        Which; it pools over time.

    Returns
    -------
    bytes
        Inputs ``frames`` ``(1, n, 1, features)``, normalised, and ``shares`` ``(1, t)``, what each
        of the t frames behind the convolutions counts, of sum 1
        (:func:`shared.lengths.shares`). Output ``vector`` ``(1, units)``.
    """
    architecture = network.architecture.embedding
    tensors = split(network.weights[: architecture.parameters], architecture)
    g = Graph(SIGNATURE)
    x = g.input("frames", (1, architecture.reach, 1, architecture.features))
    shares = g.input("shares", (1, 1))
    for layer in architecture.layers:
        if isinstance(layer, StatisticsPooling):
            x = _statistics(g, x, shares)
            continue
        kernel, bias = (tensors[f"{layer.name}/{kind}"] for kind in ("kernel", "bias"))
        if isinstance(layer, Conv1D):
            x = _convolution(g, x, layer, kernel, bias)
        else:
            # Before ReLU, as in x-vectors (Snyder et al., 2018): where few speakers have taught a
            # layer, most of what it gives behind ReLU is always 0.
            weights = [g.constant(across(kernel)), g.constant(bias)]
            x = g.op("FULLY_CONNECTED", [x, *weights], (1, len(bias)), "FullyConnectedOptions")
    g.output("vector", x)
    return serialise([g])


def _convolution(g: Graph, x: Tensor, layer: Conv1D, kernel: _Array, bias: _Array) -> Tensor:
    """Add a convolution over the second axis, without padding, with ReLU."""
    rows = np.ascontiguousarray(kernel.transpose(2, 0, 1))[:, :, None]
    return g.op(
        "CONV_2D",
        [x, g.constant(rows), g.constant(bias)],
        (1, layer.outputs(x.shape[1]), 1, layer.filters),
        "Conv2DOptions",
        padding=_VALID,
        strideH=layer.stride,
        strideW=1,
        dilationH=layer.dilation,
        dilationW=1,
        fusedActivationFunction=_RELU,
    )


def _statistics(g: Graph, x: Tensor, shares: Tensor) -> Tensor:
    """Add mean and standard deviation over time: ``(1, 2 * width)``."""
    width = x.shape[3]
    rows = g.reshape(x, (-1, width))
    mean = g.matmul(shares, rows)
    off = g.sub(rows, mean)
    variance = g.add(g.matmul(shares, g.mul(off, off)), g.constant(np.float32(POOLING_EPSILON)))
    return g.concat([mean, g.unary("SQRT", variance)], 1)
