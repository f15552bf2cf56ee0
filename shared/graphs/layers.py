"""Layers as TFLite ops: forward, and backward written by hand.

A layer's kernel and bias lie one behind the other in the flat vector of weights, so a layer has one
matrix: the kernel's rows, then the bias as the last row. With a column of ones at the end of its
input a layer is a single product, and so is its gradient, bias included.

Every product is a ``BATCH_MATMUL`` whose sides are transposed by ops of their own: that is the form
which ``tflite-runtime`` 2.14 computes fastest (a ``FULLY_CONNECTED`` or an ``adj_y`` costs two to
five times as much), and which XNNPACK takes over as it is.

Notation: ``B`` batch, ``T`` frames, ``dy`` the gradient of the loss with respect to ``y``.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate

import numpy as np

from shared.graphs.graph import Graph, Tensor
from shared.layers import POOLING_EPSILON, Conv1D

Backward = Callable[[Tensor, bool], tuple[list[Tensor], Tensor | None]]
"""From the gradient of a layer's output to that of its matrix, part by part, and of its input."""

_HUGE = 1e30
"""Times this, anything positive that a layer gives reaches one."""


def dense(g: Graph, x: Tensor, parts: Sequence[Tensor]) -> tuple[Tensor, Backward]:
    """Multiply by a matrix: ``z = [x 1] M``.

    Backward: ``dM = [x 1]^T dz`` and ``dx^T = M dz^T`` without its last row. The product for ``dx``
    has the matrix on its left, for there the runtime reads it as it lies in memory.

    A large matrix comes in parts, each some of its rows, and ``z`` is a sum over them: the runtime
    rearranges a matrix before it multiplies, and of a part the copy is small and still in the
    cache.

    Parameters
    ----------
    g
        The graph.
    x
        Shape ``(B, inputs)``.
    parts
        Shapes ``(rows, units)``, together ``inputs + 1`` rows.

    Returns
    -------
    (Tensor, Backward)
        ``z`` of shape ``(B, units)``, and the way back.
    """
    batch, width = x.shape
    starts = [0, *accumulate(part.shape[0] for part in parts)]
    pieces = [
        x if len(parts) == 1 else g.slice(x, 1, start, min(part.shape[0], width - start))
        for start, part in zip(starts, parts, strict=False)
    ]
    pieces[-1] = g.concat([pieces[-1], g.constant(np.ones((batch, 1)))], 1)

    def backward(dz: Tensor, wanted: bool) -> tuple[list[Tensor], Tensor | None]:  # noqa: FBT001 - Backward
        gradients = [g.matmul(g.transpose(piece, (1, 0)), dz) for piece in pieces]
        if not wanted:
            return gradients, None
        across = g.transpose(dz, (1, 0))
        # Turned part by part: a large matrix is turned slowly, for its rows leave the cache.
        dx = [g.transpose(g.matmul(part, across), (1, 0)) for part in parts]
        return gradients, g.slice(g.joined(dx, 1), 1, 0, width)

    products = [g.matmul(piece, part) for piece, part in zip(pieces, parts, strict=True)]
    return reduce(g.add, products), backward


def shifted_inputs(g: Graph, x: Tensor, axis: int, layer: Conv1D) -> list[Tensor]:
    """Give, for each place under a convolution's kernel, the frames that come to lie there."""
    out = layer.outputs(x.shape[axis])
    starts = [k * layer.dilation for k in range(layer.kernel)]
    return [g.slice(x, axis, start, out, step=layer.stride) for start in starts]


def conv1d(g: Graph, x: Tensor, matrix: Tensor, layer: Conv1D) -> tuple[Tensor, Backward]:
    """Convolve over time, without padding: one product with the shifted inputs side by side.

    ``z[t] = [x[t] x[t+d] x[t+2d] 1] M`` with ``d`` the dilation. Backward: ``dM`` as of a dense
    layer, and ``dx[t] = sum over k of dz[t-kd] W[k]^T``, again one product, with shifted ``dz``
    side by side.

    Parameters
    ----------
    g
        The graph.
    x
        Shape ``(B, T, channels)``.
    matrix
        Shape ``(kernel * channels + 1, filters)``.
    layer
        The convolution. One with a stride is a model's first, whose ``dx`` nobody wants.

    Returns
    -------
    (Tensor, Backward)
        ``z`` of shape ``(B, layer.outputs(T), filters)``, and the way back.
    """
    batch, frames, channels = x.shape
    kernel, dilation, edge = layer.kernel, layer.dilation, layer.edge
    filters, out = matrix.shape[1], layer.outputs(frames)
    shifted = shifted_inputs(g, x, 1, layer)
    ones = g.constant(np.ones((batch, out, 1)))
    rows = g.reshape(g.concat([*shifted, ones], 2), (batch * out, matrix.shape[0]))

    def backward(dz: Tensor, wanted: bool) -> tuple[list[Tensor], Tensor | None]:  # noqa: FBT001 - Backward
        flat = g.reshape(dz, (batch * out, filters))
        gradients = [g.matmul(g.transpose(rows, (1, 0)), flat)]
        if not wanted:
            return gradients, None
        padded = g.pad(dz, [(0, 0), (edge, edge), (0, 0)]) if edge else dz
        shifted = [g.slice(padded, 1, edge - k * dilation, frames) for k in range(kernel)]
        around = g.reshape(g.joined(shifted, 2), (batch * frames, kernel * filters))
        taps = g.reshape(g.slice(matrix, 0, 0, kernel * channels), (kernel, channels, filters))
        back = g.reshape(g.transpose(taps, (0, 2, 1)), (kernel * filters, channels))
        return gradients, g.reshape(g.matmul(around, back), x.shape)

    return g.reshape(g.matmul(rows, matrix), (batch, out, filters)), backward


def statistics_pooling(g: Graph, x: Tensor, shares: Tensor) -> tuple[Tensor, Backward]:
    """Compute mean and standard deviation over time.

    ``m = sum over t of s[t] x[t]``, ``v = sum over t of s[t] (x[t] - m)^2`` and ``y = [m d]`` with
    ``d = sqrt(v + epsilon)``. Backward: ``dx[t] = s[t] (dm + dd (x[t] - m) / d)``, for the shares
    ``s`` sum to one.

    Parameters
    ----------
    g
        The graph.
    x
        Shape ``(B, T, channels)``.
    shares
        Shape ``(B, T)``: what each frame counts; see :func:`shared.lengths.shares`.

    Returns
    -------
    (Tensor, Backward)
        ``y`` of shape ``(B, 2 * channels)``, and the way back; it has no matrix.
    """
    batch, frames, channels = x.shape
    over = g.reshape(shares, (batch, 1, frames))
    mean = g.matmul(over, x)
    centred = g.sub(x, mean)
    variance = g.matmul(over, g.mul(centred, centred))
    deviation = g.unary("SQRT", g.add(variance, g.constant(POOLING_EPSILON)))

    def backward(dy: Tensor, wanted: bool) -> tuple[list[Tensor], Tensor | None]:  # noqa: FBT001 - Backward
        if not wanted:
            return [], None
        halves = g.reshape(dy, (batch, 1, 2 * channels))
        dmean, ddeviation = (g.slice(halves, 2, start, channels) for start in (0, channels))
        spread = g.mul(centred, g.div(ddeviation, deviation))
        return [], g.mul(g.reshape(shares, (batch, frames, 1)), g.add(spread, dmean))

    return g.reshape(g.concat([mean, deviation], 2), (batch, 2 * channels)), backward


def relu_dropout(
    g: Graph, z: Tensor, mask: Tensor | None
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Apply ReLU, then dropout by a mask of zeros and ``1 / (1 - rate)``.

    ``y = max(z, 0) mask``. Backward: ``dz = dy mask [y > 0]``, where ``[y > 0]`` is ``y`` times
    something huge, cut off at one: comparisons are not among the ops that XNNPACK takes over.

    Returns
    -------
    (Tensor, callable)
        ``y`` of the shape of ``z``, and the way from ``dy`` to ``dz``.
    """
    y = g.unary("RELU", z)
    if mask is None:
        return y, lambda dy: g.mul(dy, _positive(g, y))
    y = g.mul(y, mask)
    return y, lambda dy: g.mul(g.mul(dy, mask), _positive(g, y))


def _positive(g: Graph, y: Tensor) -> Tensor:
    return g.mul(y, g.constant(_HUGE), clip=True)


def cross_entropy(g: Graph, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the loss and its gradient with respect to the logits.

    ``loss = -sum(targets log softmax(logits))``, and ``dlogits = softmax(logits) w - targets``
    with ``w`` the sum of an example's targets.

    Parameters
    ----------
    g
        The graph.
    logits
        Shape ``(B, labels)``.
    targets
        Shape ``(B, labels)``: an example's weight in the loss at its label, else zero.

    Returns
    -------
    (Tensor, Tensor)
        The loss, shape ``(1,)``; the gradient, shape ``(B, labels)``.
    """
    classes = logits.shape[1]
    logs = g.op("LOG_SOFTMAX", [logits], logits.shape, "LogSoftmaxOptions")
    loss = g.mul(g.total(g.mul(logs, targets), (0, 1)), g.constant([-1.0]))
    softmax = g.op("SOFTMAX", [logits], logits.shape, "SoftmaxOptions", beta=1.0)
    weights = g.matmul(targets, g.constant(np.ones((classes, classes))))
    return loss, g.sub(g.mul(softmax, weights), targets)
