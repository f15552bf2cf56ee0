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

from shared.graphs.graph import Graph, Tensor
from shared.graphs.layers import Backward

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
    layer = _LSTM(g, [g.transpose(part, (1, 0)) for part in parts], batch)
    for piece in _blocks(g, x, batch):
        layer.advance(piece)
    *earlier, last = layer.hidden

    def backward(dy: Tensor, wanted: bool) -> tuple[list[Tensor], Tensor | None]:  # noqa: FBT001 - Backward
        above = (
            layer.frames(dy) if sequences else [*(None for _ in earlier), g.transpose(dy, (1, 0))]
        )
        return layer.backward(x, parts, above, wanted=wanted)

    return g.concat(layer.hidden, 1) if sequences else g.transpose(last, (1, 0)), backward


def lstm_forward(g: Graph, x: Tensor, layers: Sequence[Sequence[Tensor]], batch: int) -> Tensor:
    """Add recurrent layers without a way back.

    A few frames pass all layers before the next ones come, so that hardly anything is kept.

    Parameters
    ----------
    g, x, batch
        As above.
    layers
        Kernel, recurrent kernel and bias of each layer, transposed: shapes ``(4 * units, inputs)``,
        ``(4 * units, units)`` and ``(4 * units, 1)``.

    Returns
    -------
    Tensor
        The last layer's ``h`` of the last frame, shape ``(B, units)``.
    """
    passed = [_LSTM(g, parts, batch) for parts in layers]
    for block in _blocks(g, x, batch):
        piece = block
        for layer in passed:
            piece = g.concat(layer.advance(piece), 1)
    return g.transpose(passed[-1].hidden[-1], (1, 0))


def _blocks(g: Graph, x: Tensor, batch: int) -> Iterator[Tensor]:
    """Cut ``(inputs, T * B)`` into a few frames at a time."""
    for start in range(0, x.shape[1], _BLOCK * batch):
        yield g.slice(x, 1, start, min(_BLOCK * batch, x.shape[1] - start))


class _LSTM:
    """A recurrent layer in a graph.

    Parameters
    ----------
    g
        The graph.
    across
        Kernel, recurrent kernel and bias, transposed.
    batch
        ``B``.

    Attributes
    ----------
    hidden
        ``h[t]`` of each frame so far, shape ``(units, B)`` each.
    """

    def __init__(self, g: Graph, across: Sequence[Tensor], batch: int) -> None:
        self._g, self._across, self._batch = g, across, batch
        self._units = across[1].shape[1]
        self.hidden: list[Tensor] = []
        self._tape: list[_Frame] = []
        self._cell: Tensor | None = None

    def frames(self, whole: Tensor) -> list[Tensor]:
        """Cut ``(width, T * B)`` into frames ``(width, B)``."""
        starts = range(0, whole.shape[1], self._batch)
        return [self._g.slice(whole, 1, start, self._batch) for start in starts]

    def advance(self, x: Tensor) -> list[Tensor]:
        """Pass some frames, shape ``(inputs, t * B)``; give their ``h``.

        What their inputs add to the gates is one product for all of them.
        """
        g, units = self._g, self._units
        kernel, recurrent, bias = self._across
        inputs = self.frames(g.add(g.matmul(kernel, x), bias))
        for z in inputs:
            gates = g.add(z, g.matmul(recurrent, self.hidden[-1])) if self.hidden else z
            both = g.unary("LOGISTIC", g.slice(gates, 0, 0, 2 * units))
            candidate = g.unary("TANH", g.slice(gates, 0, 2 * units, units))
            output = g.unary("LOGISTIC", g.slice(gates, 0, 3 * units, units))
            i, f = self._halves(both)
            new = g.mul(i, candidate)
            after = new if self._cell is None else g.add(g.mul(f, self._cell), new)
            squashed = g.unary("TANH", after)
            self.hidden.append(g.mul(output, squashed))
            self._tape.append(_Frame(both, candidate, output, self._cell, squashed))
            self._cell = after
        return self.hidden[-len(inputs) :]

    def _halves(self, both: Tensor) -> list[Tensor]:
        return [self._g.slice(both, 0, self._units * n, self._units) for n in range(2)]

    def backward(
        self, x: Tensor, parts: Sequence[Tensor], dhidden: Sequence[Tensor | None], *, wanted: bool
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
        g, (kernel, recurrent, _) = self._g, parts
        dgates = g.concat(self._through_time(recurrent, dhidden), 1)
        zeros = g.constant(np.zeros(self.hidden[0].shape))
        before = g.concat([zeros, *self.hidden[:-1]], 1)
        ones = g.constant(np.ones((1, x.shape[1])))
        seen = g.transpose(g.concat([x, before, ones], 0), (1, 0))
        whole = g.transpose(g.matmul(dgates, seen), (1, 0))
        inputs = kernel.shape[0]
        cuts = [(0, inputs), (inputs, self._units), (inputs + self._units, 1)]
        gradients = [g.slice(whole, 0, start, size) for start, size in cuts]
        if not wanted:
            return gradients, None
        return gradients, g.matmul(kernel, dgates)

    def _through_time(self, recurrent: Tensor, dhidden: Sequence[Tensor | None]) -> list[Tensor]:
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
                dh_next, dc_next = g.matmul(recurrent, dz), g.mul(dc, f)
        return dgates


def _sum(g: Graph, a: Tensor | None, b: Tensor | None) -> Tensor:
    if a is None or b is None:
        only = a or b
        if only is None:
            raise ValueError("the last frame has no gradient")
        return only
    return g.add(a, b)
