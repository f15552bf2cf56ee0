"""From an utterance to what a model's last hidden layer makes of it: one vector.

The model is one that pools over time and was taught something else before, such as to tell
speakers (``edge-client pretrain speakers``). Each utterance is normalised by itself, so that the
vector depends on nothing that was heard before.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np

from shared.architectures import Architecture
from shared.audio import Samples
from shared.encoders.encoder import check_digest
from shared.errors import WeightsError
from shared.frames import Frames
from shared.front_ends import front_end_of
from shared.inference import Inference
from shared.layers import HEAD
from shared.weights import architecture_in, load_weights

_ONE_AT_A_TIME: Final = Lock()
"""Several threads may ask a runtime that can answer one."""

_FLOOR: Final = 1e-4
"""Least standard deviation divided by."""

_CLIP: Final = 5.0
"""Standard deviations within which normalised values are kept."""


def normalised_by_itself(frames: Frames) -> Frames:
    """Bring each feature of an utterance, shape ``(n, features)``, to mean 0 and deviation 1."""
    deviation = np.maximum(frames.std(axis=0), np.float32(_FLOOR))
    normal: Frames = np.clip((frames - frames.mean(axis=0)) / deviation, -_CLIP, _CLIP)
    return normal


def embedding_width(path: Path) -> int:
    """Give the length of a model's embedding.

    Raises
    ------
    WeightsError
        If the file is none of a model, or of one without an embedding over time.
    """
    bias = _cut(architecture_in(path), path).manifest[-1]
    return bias.size


@dataclass(frozen=True, slots=True)
class EmbeddingFeatures:
    """Computes an utterance's one row with the model of a file."""

    path: Path
    digest: str

    def __call__(self, samples: Samples) -> Frames:
        """Compute it, shape ``(1, units)``; the model is read at the first time."""
        inference = _inference(self.path, self.digest)
        front_end = front_end_of(inference.architecture.task.front_end)
        frames = normalised_by_itself(front_end.compute(samples))
        with _ONE_AT_A_TIME:
            return inference.logits(frames, len(frames))[None]


@lru_cache(maxsize=2)
def _inference(path: Path, digest: str) -> Inference:
    check_digest(path, digest)
    weights, architecture = load_weights(path)
    cut = _cut(architecture, path)
    return Inference(cut, weights[: cut.parameters], threads=1)


def _cut(architecture: Architecture, path: Path) -> Architecture:
    """Leave out the logits, so that the last layer gives the embedding."""
    layers = architecture.layers[:-1]
    if not (architecture.pools and layers[-1].name == HEAD):
        raise WeightsError(
            f"{path} holds a model of {architecture.name}, which makes no embedding of a whole "
            "utterance.",
            "Give one of tdnn13 or tdnn, or an encoder's file.",
        )
    return replace(architecture, layers=layers)
