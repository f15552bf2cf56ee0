"""The LSTM layer as TFLite ops: forward, and backward through time written by hand.

As Keras defines it (Hochreiter & Schmidhuber, 1997, with the forget gate of Gers et al., 2000)::

    [i f g o] = x[t] K + h[t-1] R + b       i, f, o through the sigmoid, g through tanh
    c[t] = f c[t-1] + i g
    h[t] = o tanh(c[t])

The loop is unrolled: a ``WHILE`` op is five to eight times slower. Everything is *feature-major*,
``(width, B)`` for a frame and ``(width, T * B)`` for all of them, frame after frame: gates are then
contiguous rows, and the recurrent matrix stands on the left of each product, where it is read as it
lies. What does not depend on the previous frame is taken out of the loop: the input's part of all
gates is a few products before it, the gradients of the matrix and of the input one each behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from converters.graph import Graph, Tensor
from converters.layers import Backward

_BLOCK = 5
"""Frames whose inputs are multiplied at once: enough for speed, and little in memory."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the way back needs of a frame: gates (``both``: i and f), the cell before and after."""

    both: Tensor
    candidate: Tensor
    output: Tensor
    before: Tensor | None
    squashed: Tensor


def lstm(
    g: Graph, x: Tensor, parts: Sequence[Tensor], batch: int, *, sequences: bool
) -> tuple[Tensor, Backward]:
    """Add a recurrent layer.

    Parameters
    ----------
    g
        The graph.
    x
        Feature-major: shape ``(inputs, T * B)``.
    parts
        Kernel, recurrent kernel and bias: shapes ``(inputs, 4 * units)``, ``(units, 4 * units)``
        and ``(1, 4 * units)``.
    batch
        ``B``.
    sequences
        Whether every frame's ``h`` is the output, or the last one's.

    Returns
    -------
    (Tensor, Backward)
        Shape ``(units, T * B)``; or ``(B, units)``, as dense layers take it. And the way back.
    """
    layer = _LSTM(g, x, parts, batch)
    *earlier, last = layer.hidden

    def backward(dy: Tensor, wanted: bool) -> tuple[list[Tensor], Tensor | None]:  # noqa: FBT001 - Backward
        if sequences:
            return layer.backward(layer.frames(dy), wanted=wanted)
        return layer.backward([*(None for _ in earlier), g.transpose(dy, (1, 0))], wanted=wanted)

    return g.concat(layer.hidden, 1) if sequences else g.transpose(last, (1, 0)), backward


class _LSTM:
    """A recurrent layer in a graph; made by its forward pass.

    Attributes
    ----------
    hidden
        ``h[t]`` of each frame, shape ``(units, B)`` each.
    """

    def __init__(self, g: Graph, x: Tensor, parts: Sequence[Tensor], batch: int) -> None:
        self._g, self._x, self._batch = g, x, batch
        self._kernel, self._recurrent, _ = parts
        self._units = self._recurrent.shape[0]
        self._across = [g.transpose(part, (1, 0)) for part in parts]
        self.hidden, self._tape = self._forward()

    def frames(self, whole: Tensor) -> list[Tensor]:
        """Cut ``(width, T * B)`` into frames ``(width, B)``."""
        starts = range(0, whole.shape[1], self._batch)
        return [self._g.slice(whole, 1, start, self._batch) for start in starts]

    def _forward(self) -> tuple[list[Tensor], list[_Frame]]:
        g, units = self._g, self._units
        recurrent = self._across[1]
        hidden: list[Tensor] = []
        tape: list[_Frame] = []
        cell: Tensor | None = None
        for z in self._from_inputs():
            gates = g.add(z, g.matmul(recurrent, hidden[-1])) if hidden else z
            both = g.unary("LOGISTIC", g.slice(gates, 0, 0, 2 * units))
            candidate = g.unary("TANH", g.slice(gates, 0, 2 * units, units))
            output = g.unary("LOGISTIC", g.slice(gates, 0, 3 * units, units))
            i, f = self._halves(both)
            new = g.mul(i, candidate)
            after = new if cell is None else g.add(g.mul(f, cell), new)
            squashed = g.unary("TANH", after)
            hidden.append(g.mul(output, squashed))
            tape.append(_Frame(both, candidate, output, cell, squashed))
            cell = after
        return hidden, tape

    def _from_inputs(self) -> Iterator[Tensor]:
        """Give each frame's ``K^T x + b``, computed for some frames at once, to save memory."""
        g, (kernel, _, bias) = self._g, self._across
        for start in range(0, self._x.shape[1], _BLOCK * self._batch):
            size = min(_BLOCK * self._batch, self._x.shape[1] - start)
            product = g.matmul(kernel, g.slice(self._x, 1, start, size))
            yield from self.frames(g.add(product, bias))

    def _halves(self, both: Tensor) -> list[Tensor]:
        return [self._g.slice(both, 0, self._units * n, self._units) for n in range(2)]

    def backward(
        self, dhidden: Sequence[Tensor | None], *, wanted: bool
    ) -> tuple[list[Tensor], Tensor | None]:
        """Go back through time.

        ::

            do = dh tanh(c)          dc += dh o (1 - tanh(c)^2)
            di = dc g   df = dc c[t-1]   dg = dc i        then through the gates' derivatives,
            dh[t-1] += R dz          dc[t-1] = dc f
            d[K R b]^T = dz [x h[t-1] 1]   and   dx = K dz   for all frames at once

        ``dhidden`` holds the gradient of each frame's ``h``, shape ``(units, B)`` or ``None`` for
        zero. Gives the gradient of each part, and of ``x``.
        """
        g = self._g
        dgates = g.concat(self._through_time(dhidden), 1)
        zeros = g.constant(np.zeros(self.hidden[0].shape))
        before = g.concat([zeros, *self.hidden[:-1]], 1)
        ones = g.constant(np.ones((1, self._x.shape[1])))
        seen = g.transpose(g.concat([self._x, before, ones], 0), (1, 0))
        whole = g.transpose(g.matmul(dgates, seen), (1, 0))
        inputs = self._kernel.shape[0]
        cuts = [(0, inputs), (inputs, self._units), (inputs + self._units, 1)]
        gradients = [g.slice(whole, 0, start, size) for start, size in cuts]
        if not wanted:
            return gradients, None
        return gradients, g.matmul(self._kernel, dgates)

    def _through_time(self, dhidden: Sequence[Tensor | None]) -> list[Tensor]:
        """Give the gradient of each frame's gates before their sigmoids: shape ``(4 units, B)``."""
        g = self._g
        dgates: list[Tensor] = []
        dh_next: Tensor | None = None
        dc_next: Tensor | None = None
        for frame, above in zip(reversed(self._tape), reversed(dhidden), strict=True):
            dh = _sum(g, above, dh_next)
            i, f = self._halves(frame.both)
            through = g.mul(dh, frame.output)
            through = g.sub(through, g.mul(through, g.mul(frame.squashed, frame.squashed)))
            dc = _sum(g, through, dc_next)
            df = g.mul(dc, frame.before) if frame.before else g.mul(dc, g.constant(0.0))
            dboth = g.concat([g.mul(dc, frame.candidate), df], 0)
            dboth = g.mul(dboth, g.sub(frame.both, g.mul(frame.both, frame.both)))
            dg = g.mul(dc, i)
            dg = g.sub(dg, g.mul(dg, g.mul(frame.candidate, frame.candidate)))
            do = g.mul(g.mul(dh, frame.squashed), frame.output)
            do = g.sub(do, g.mul(do, frame.output))
            dz = g.concat([dboth, dg, do], 0)
            dgates.insert(0, dz)
            if frame.before:
                dh_next, dc_next = g.matmul(self._recurrent, dz), g.mul(dc, f)
        return dgates


def _sum(g: Graph, a: Tensor | None, b: Tensor | None) -> Tensor:
    if a is None or b is None:
        only = a or b
        if only is None:
            raise ValueError("the last frame has no gradient")
        return only
    return g.add(a, b)
