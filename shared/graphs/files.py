"""The trainable file of an architecture: built where it is needed, for any task.

===============  =======  ==========================================================================
signature        batch    gives
===============  =======  ==========================================================================
``train``        20       loss and the gradient of every layer's matrix
``train_head``   20       logits, loss, and the gradients from ``embedding_layer`` on
``infer``        1        logits of one utterance (see :mod:`shared.graphs.inference_graph`)
===============  =======  ==========================================================================

A device has a file for each signature: a runtime prepares all graphs of a file, and those of whole
training would take more memory than training the head does.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, get_args

from shared.architectures import Architecture
from shared.graphs.inference_graph import inference_graph
from shared.graphs.tflite_file import serialise
from shared.graphs.training_graphs import head_graph, training_graph

Signature = Literal["train", "train_head", "infer"]

SIGNATURES: Final[tuple[Signature, ...]] = get_args(Signature)

_KEPT: Final = 16
"""Files kept in memory, a tenth of a megabyte each: a model at a few lengths."""


def trainable_file(
    architecture: Architecture, signatures: Sequence[Signature] = SIGNATURES
) -> bytes:
    """Build the trainable file of an architecture, with all signatures or some."""
    build = {"train": training_graph, "train_head": head_graph, "infer": inference_graph}
    return serialise([build[signature](architecture) for signature in signatures])


@lru_cache(maxsize=_KEPT)
def graph_file(architecture: Architecture, signature: Signature) -> bytes:
    """Give the file of one signature, for the architecture's task and length; built once."""
    return trainable_file(architecture, [signature])
