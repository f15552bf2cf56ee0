"""Models small enough for thousands of tests, and vectors of them."""

import numpy as np

from shared.architectures import Architecture
from shared.layers import HEAD, Conv1D, Dense
from shared.weights import Weights

LAYERS = (Conv1D("conv1", 3), Dense(HEAD, 5), Dense("logits", 4, hidden=False))

SMALL = Architecture("conv", LAYERS)
"""1,808 values: eight blocks of a top codec, the last one cut short."""

MIDDLE = Architecture("conv", (Conv1D("conv1", 128), *LAYERS[1:]))
"""75,933 values: more than one piece, and more than one stride of blocks."""


def update(architecture: Architecture, seed: int = 0) -> Weights:
    """Draw a vector whose tensors differ in size of values, with long tails as updates have."""
    rng = np.random.default_rng(seed)
    vector = rng.standard_t(3, architecture.parameters).astype(np.float32)
    for number, spec in enumerate(architecture.manifest):
        vector[spec.where] *= 10.0 ** -(number + 1)
    return vector
