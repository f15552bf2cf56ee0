"""Small networks that tell speakers, made at random, by the names of Resemblyzer."""

import math

import numpy as np
from numpy.typing import NDArray

WIDTH, UNITS, LAYERS = 12, 10, 3


def small_speakers(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Make one of three layers of 12 values, and an embedding of 10."""
    rng = np.random.default_rng(seed)
    made: dict[str, NDArray[np.float32]] = {}
    for layer in range(LAYERS):
        inputs = 40 if layer == 0 else WIDTH
        for kind, width in (("ih", inputs), ("hh", WIDTH)):
            kernel = rng.standard_normal((4 * WIDTH, width), np.float32)
            made[f"lstm.weight_{kind}_l{layer}"] = kernel / np.float32(math.sqrt(width))
            made[f"lstm.bias_{kind}_l{layer}"] = rng.standard_normal(4 * WIDTH, np.float32)
    made["linear.weight"] = rng.standard_normal((UNITS, WIDTH), np.float32)
    made["linear.bias"] = rng.standard_normal(UNITS, np.float32)
    made["similarity_weight"] = np.ones(1, np.float32)
    return made
