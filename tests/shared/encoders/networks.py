"""What Keras makes of a network's embedding, to compare with."""

import numpy as np
from numpy.typing import NDArray

from converters.keras_models import build, forward, set_weights
from shared.architectures import Architecture
from shared.lengths import model_length, padded, shares
from shared.training import Examples
from shared.weights import Weights


def embeddings(
    architecture: Architecture, weights: Weights, examples: Examples
) -> NDArray[np.float32]:
    """Compute what the last hidden layer gives of normalised utterances, shape ``(n, units)``."""
    embedding = architecture.embedding
    model = build(embedding, dropout=0)
    set_weights(model, embedding, weights[: embedding.parameters])
    length = model_length(embedding, examples.frames)
    features = padded(examples.features, examples.frames, length)
    counting = shares(embedding.at(length), examples.frames)
    found: NDArray[np.float32] = np.asarray(forward(model, features, counting))
    return found
