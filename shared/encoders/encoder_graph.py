"""The graph of a speech encoder: the signature ``encode``, for an utterance of any length.

Every product is a ``CONV_2D``: of int8 kernels with a scale a row it is the one that both runtimes
compute fast, each row of the input rounded by its own largest value (``FULLY_CONNECTED`` with such
kernels is newer than tflite-runtime 2.14, and with one scale it is four times slower there). Time
is the first axis, so that rows are what the op calls a batch. Shapes are those of a short
utterance; the axis of time may be resized.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.encoders.encoder import HEAD_WIDTH, TAPS, Encoder
from shared.graphs.graph import Graph, Tensor
from shared.graphs.tflite_file import serialise

SIGNATURE: Final = "encode"

_FRAMES: Final = 2
"""Frames behind the convolutions for which shapes are written."""

_EPSILON: Final = 1e-5
"""What a layer's normalisation adds to the variance."""

_VALID: Final = 1
"""The padding that is none."""

_RELU6: Final = 3
"""Cuts off below 0 and above 6."""

_GELU: Final = (1.59537983, 1.76309024, -0.293948331, -0.237859986)
"""Coefficients of 1, v, v^2 and so on in ``p``: ``x * (1 + tanh(x * p / 2)) / 2`` is the GELU.

They make its largest error as small as four can: 1.2e-5 (three: 2.5e-5, which comes to 1.2e-3 of
tiny.en's fourth layer). ``v`` is the square of ``x``, at most 24, in units of 24; beyond it the
GELU is ``x`` or 0.
"""


def encoder_file(encoder: Encoder, *, gelu_op: bool) -> bytes:
    """Build the TFLite file of an encoder.

    Parameters
    ----------
    encoder
        Which.
    gelu_op
        Whether the GELU is the op of that name; if not, it is written with ops that older runtimes
        compute faster.

    Returns
    -------
    bytes
        Inputs ``mel`` ``(1, n + 2, 1, mels)``, the spectrum between two rows of zeros, and
        ``positions`` ``(t, 1, 1, width)`` (:func:`shared.front_ends.whisper.positions`), t half of
        n, rounded up, and ``shares`` ``(1, t)``, how much each frame counts when pooled, of sum 1.
        Outputs ``vector`` ``(features,)``, and of each layer that is pooled ``layer1`` and so on,
        ``(t, 1, 1, width)``.
    """
    g = Graph(SIGNATURE)
    width = encoder.width
    mel = g.input("mel", (1, 2 * _FRAMES + 2, 1, encoder.mels))
    positions = g.input("positions", (_FRAMES, 1, 1, width))
    shares = g.input("shares", (1, _FRAMES))
    layers = _Layers(g, encoder, gelu_op)
    x = layers.gelu(layers.convolution("conv1", mel, stride=1))
    x = g.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)])
    x = layers.gelu(layers.convolution("conv2", x, stride=2))
    x = g.add(g.reshape(x, (-1, 1, 1, width)), positions)
    pooled: list[Tensor] = []
    for layer in range(1, encoder.layers + 1):
        x = layers.attention(f"layer{layer}", x)
        x = layers.feed_forward(f"layer{layer}", x)
        if layer in encoder.pool:
            pooled += layers.statistics(x, shares)
            g.output(f"layer{layer}", x)
    g.output("vector", g.reshape(g.joined(pooled, 1), (encoder.features,)))
    return serialise([g])


@dataclass(frozen=True, slots=True)
class _Layers:
    """Adds parts of an encoder to its graph; ``x`` has the shape ``(t, 1, 1, width)``."""

    g: Graph
    encoder: Encoder
    gelu_op: bool

    def convolution(self, name: str, x: Tensor, stride: int) -> Tensor:
        """Add a convolution over the second axis, without padding."""
        kernel = self._kernel([name], (TAPS, 1))
        frames = (x.shape[1] - TAPS) // stride + 1
        return self._conv2d([name], x, kernel, (1, frames, 1, kernel.shape[0]), stride)

    def product(self, names: Sequence[str], x: Tensor) -> Tensor:
        """Add ``x K + b``, of several products side by side."""
        kernel = self._kernel(names, (1, 1))
        return self._conv2d(names, x, kernel, (*x.shape[:3], kernel.shape[0]), 1)

    def attention(self, layer: str, x: Tensor) -> Tensor:
        """Add a layer's attention to its input."""
        g, heads = self.g, self.encoder.heads
        # One product for all three: its rows are rounded to int8 once.
        three = self.product(
            [f"{layer}/{part}" for part in ("query", "key", "value")], self._normalised(x)
        )
        three = g.transpose(g.reshape(three, (-1, 3 * heads, HEAD_WIDTH)), (1, 0, 2))
        query, key, value = (self._rows(three, n * heads, (n + 1) * heads) for n in range(3))
        scores = g.matmul(query, g.transpose(key, (0, 2, 1)))
        shares = g.op("SOFTMAX", [scores], scores.shape, "SoftmaxOptions", beta=1.0)
        heard = g.transpose(g.matmul(shares, value), (1, 0, 2))
        heard = g.reshape(heard, (-1, 1, 1, self.encoder.width))
        return g.add(x, self.product([f"{layer}/out"], heard))

    def feed_forward(self, layer: str, x: Tensor) -> Tensor:
        """Add a layer's two dense products to its input."""
        up = self.gelu(self.product([f"{layer}/up"], self._normalised(x)))
        return self.g.add(x, self.product([f"{layer}/down"], up))

    def gelu(self, x: Tensor) -> Tensor:
        """Apply the GELU."""
        g = self.g
        if self.gelu_op:
            return g.op("GELU", [x], x.shape, "GeluOptions")
        half = g.mul(x, g.constant(np.float32(0.5)))
        # A fused RELU6 cuts the square off: of half of x, it is 6 where that of x is 24.
        square = g.op("MUL", [half, half], x.shape, "MulOptions", fusedActivationFunction=_RELU6)
        *lower, highest = (g.constant(np.float32(c / 6**n)) for n, c in enumerate(_GELU))
        p = highest
        for coefficient in reversed(lower):
            p = g.add(g.mul(square, p), coefficient)
        return g.add(half, g.mul(half, g.unary("TANH", g.mul(half, p))))

    def statistics(self, x: Tensor, shares: Tensor) -> Iterable[Tensor]:
        """Add the mean over time, and the standard deviation if wanted, shape ``(1, width)``."""
        g = self.g
        rows = g.reshape(x, (-1, self.encoder.width))
        # By a product of matrices: MUL with broadcasting is a plain loop in 2.14, too.
        mean = g.matmul(shares, rows)
        yield mean
        if self.encoder.pooling == "mean+std":
            off = self._less(rows, mean)
            yield g.unary("SQRT", g.matmul(shares, g.mul(off, off)))

    def _normalised(self, x: Tensor) -> Tensor:
        """Bring each row to mean 0 and variance 1."""
        g = self.g
        off = self._less(x, g.mean(x, 3))
        variance = g.mean(g.mul(off, off), 3)
        return g.mul(off, g.unary("RSQRT", g.add(variance, g.constant(np.float32(_EPSILON)))))

    def _less(self, x: Tensor, mean: Tensor) -> Tensor:
        """Subtract a mean; SUB with broadcasting is a plain loop in 2.14, ADD is not."""
        return self.g.add(x, self.g.unary("NEG", mean))

    def _rows(self, x: Tensor, begin: int, end: int) -> Tensor:
        """Cut along the first axis; SLICE would hold on to the length of the second."""
        shape = (end - begin, *x.shape[1:])
        where = [self.g.constant(at, np.int32) for at in ([begin, 0, 0], [end, 0, 0], [1, 1, 1])]
        return self.g.op(
            "STRIDED_SLICE", [x, *where], shape, "StridedSliceOptions", beginMask=6, endMask=6
        )

    def _kernel(self, names: Sequence[str], area: tuple[int, int]) -> Tensor:
        kernel = self._side_by_side(names, "kernel")
        shape = (len(kernel), *area, kernel.shape[-1])
        scaled = kernel.dtype == np.int8
        scales = tuple(self._side_by_side(names, "scale").tolist()) if scaled else None
        return self.g.constant(kernel.reshape(shape), kernel.dtype, scales)

    def _side_by_side(self, names: Sequence[str], kind: str) -> NDArray[Any]:
        return np.concatenate([self.encoder.tensors[f"{name}/{kind}"] for name in names])

    def _conv2d(
        self, names: Sequence[str], x: Tensor, kernel: Tensor, shape: tuple[int, ...], stride: int
    ) -> Tensor:
        return self.g.op(
            "CONV_2D",
            [x, kernel, self.g.constant(self._side_by_side(names, "bias"))],
            shape,
            "Conv2DOptions",
            version=5 if kernel.dtype == np.int8 else 1,
            padding=_VALID,
            strideH=stride,
            strideW=stride,
        )
