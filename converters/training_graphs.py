"""The trainable file of an architecture. It holds no weights.

===============  =======  ==========================================================================
signature        batch    gives
===============  =======  ==========================================================================
``train``        20       loss and the gradient of every layer's matrix
``train_head``   20       logits, loss, and the gradients from ``embedding_layer`` on
``infer``        1        logits of one utterance (see :mod:`converters.inference_graph`)
===============  =======  ==========================================================================

A device has a file for each signature: a runtime prepares all graphs of a file, and those of whole
training would take more memory than training the head does.

Weights are inputs and gradients outputs, so one file serves every round, and the optimiser works in
place on the runtime's own input buffers. The inputs whose names end in ``_weights`` are, in the
order of their tensors, the flat vector, cut: a layer's kernels and bias are one matrix, or several
parts of it, as they lie there (see :mod:`converters.layers`). ``<name>_gradient`` is an output of
the same shape, ``<layer>_mask`` a layer's dropout mask.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise, takewhile
from typing import Final, Literal, get_args

from converters.graph import Graph, Tensor, serialise
from converters.inference_graph import inference_graph
from converters.layers import Backward, conv1d, cross_entropy, dense, relu_dropout
from converters.lstm import lstm
from shared.architectures import FEATURES, FRAMES, HEAD, LSTM, Architecture, Conv1D, Dense, Layer
from shared.emotions import EMOTIONS

BATCH: Final = 20
"""Examples in a batch of the training signatures; a smaller batch is padded, a larger one split."""


Signature = Literal["train", "train_head", "infer"]

SIGNATURES: Final[tuple[Signature, ...]] = get_args(Signature)

_PART: Final = 2 * 512 * 512
"""Values in one part of a large matrix (2 MB): one that stays in a cache while it is rearranged."""

_GROUP: Final = 2
"""Examples that pass convolutions together where only the head is trained."""

_Passed = tuple[str, list[str], Backward]
"""A layer in the forward pass: its name, its inputs with weights, and the way back."""


def trainable_file(
    architecture: Architecture, signatures: Sequence[Signature] = SIGNATURES
) -> bytes:
    """Build the trainable file of an architecture, with all signatures or some."""
    build = {"train": training_graph, "train_head": head_graph, "infer": inference_graph}
    return serialise([build[signature](architecture) for signature in signatures])


def training_graph(architecture: Architecture) -> Graph:
    """Build the signature ``train``."""
    g = Graph("train")
    features, targets = _inputs(g)
    model = _Model(g, architecture)
    logits, tape = model.forward(architecture.layers, features)
    _loss_and_gradients(g, logits, targets, tape)
    return g


def head_graph(architecture: Architecture) -> Graph:
    """Build the signature ``train_head``.

    Convolutions take a few examples at a time: without a way back, what lies between is not kept.
    """
    g = Graph("train_head")
    features, targets = _inputs(g)
    model = _Model(g, architecture)
    convolutions = list(takewhile(lambda layer: isinstance(layer, Conv1D), architecture.layers))
    x = features
    if convolutions:
        outputs = []
        for start in range(0, BATCH, _GROUP):
            model.first = start
            output, _ = model.forward(convolutions, g.slice(features, 0, start, _GROUP))
            outputs.append(output)
        x = g.concat(outputs, 0)
    logits, tape = model.forward(architecture.layers[len(convolutions) :], x)
    while tape[0][0] != HEAD:
        tape.pop(0)
    g.output("logits", logits)
    _loss_and_gradients(g, logits, targets, tape)
    return g


def _inputs(g: Graph) -> tuple[Tensor, Tensor]:
    features = g.input("features", (BATCH, FRAMES, FEATURES))
    return features, g.input("targets", (BATCH, len(EMOTIONS)))


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

    def forward(self, layers: Sequence[Layer], x: Tensor) -> tuple[Tensor, list[_Passed]]:
        """Add layers; give their output, and the way back through each."""
        g = self._g
        tape: list[_Passed] = []
        if isinstance(layers[0], LSTM):
            x = g.reshape(g.transpose(x, (2, 1, 0)), (FEATURES, FRAMES * BATCH))
        for layer in layers:
            parts = self._weights(layer)
            x, backward = self._layer(layer, x, list(parts.values()))
            tape.append((layer.name, list(parts), backward))
        return x, tape

    def _input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Add an input, or find it where an earlier group of examples has added it."""
        return self._g.inputs.get(name) or self._g.input(name, shape)

    def _weights(self, layer: Layer) -> dict[str, Tensor]:
        """Add a layer's matrix as an input; or its parts, of a recurrent or a large dense one."""
        specs = [spec for spec in self._architecture.manifest if spec.layer == layer.name]
        columns = specs[-1].size
        rows = sum(spec.size for spec in specs) // columns
        if isinstance(layer, LSTM):
            cuts = [0, *accumulate(spec.size // columns for spec in specs)]
        else:
            step = min(_PART // columns, rows - 1) if isinstance(layer, Dense) else rows - 1
            cuts = [*range(0, rows - 1, step), rows]
        single = len(cuts) == 2  # noqa: PLR2004 - where it begins and where it ends
        names = [layer.name] if single else [f"{layer.name}_{n}" for n in range(len(cuts) - 1)]
        return {
            f"{name}_weights": self._input(f"{name}_weights", (stop - start, columns))
            for name, (start, stop) in zip(names, pairwise(cuts), strict=True)
        }

    def _layer(self, layer: Layer, x: Tensor, parts: list[Tensor]) -> tuple[Tensor, Backward]:
        """Add one layer with its activation and dropout."""
        g, shape = self._g, x.shape
        if isinstance(layer, LSTM):
            return lstm(g, x, parts, BATCH, sequences=layer.sequences)
        if isinstance(layer, Conv1D):
            z, through = conv1d(g, x, parts[0], layer.kernel)
        else:
            z, through = dense(g, g.reshape(x, (shape[0], math.prod(shape[1:]))), parts)
        if isinstance(layer, Dense) and not layer.hidden:
            return z, through
        mask = self._input(f"{layer.name}_mask", (BATCH, *z.shape[1:]))
        if z.shape[0] < BATCH:
            mask = g.slice(mask, 0, self.first, z.shape[0])
        y, activation = relu_dropout(g, z, mask)

        def backward(dy: Tensor, wanted: bool) -> tuple[list[Tensor], Tensor | None]:  # noqa: FBT001 - Backward
            gradients, dx = through(activation(dy), wanted)
            return gradients, dx and g.reshape(dx, shape)

        return y, backward
