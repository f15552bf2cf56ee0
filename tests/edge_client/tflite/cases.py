"""What the engine is compared with Keras on; shared by the tests and by reference.py."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_client.tflite import engine
from shared.architectures import Architecture, architecture_of
from shared.front_ends import FRONT_ENDS, WHISPER
from shared.graphs.files import graph_file
from shared.task import DEFAULT_TASK, FrontEndShape, Task, labels_of
from shared.tflite import Session, mask_inputs
from shared.weights import Weights, initial_weights

ANOTHER: Final = Task(
    labels_of(("laughing", "crying", "shouting")),
    FrontEndShape("short", version=1, frames=60, features=13),
)
VARYING: Final = Task(
    labels_of(f"emotion{number}" for number in range(8)), FRONT_ENDS.get("mfcc40").shape
)

MODELS: Final[dict[str, Architecture]] = {
    **{name: architecture_of(name, DEFAULT_TASK) for name in ("conv", "dense", "lstm", "tdnn")},
    "conv of another task": architecture_of("conv", ANOTHER),
    "tdnn of another task": architecture_of("tdnn", VARYING).at(150),
    "tdnn13": architecture_of("tdnn13", VARYING).at(60),
    "mlp": architecture_of("mlp", Task(DEFAULT_TASK.labels, WHISPER)),
    "head": architecture_of("head", Task(DEFAULT_TASK.labels, WHISPER)),
}
"""What is compared, by the name of its reference."""

RATE: Final = 1e-3
MOMENTUM: Final = 0.9
STEPS_BATCH: Final = 7
SAMPLE: Final = 4096


def steps(architecture: Architecture) -> int:
    """Say how many are taken: few by the LSTM, which is unrolled, so that each takes long."""
    return 5 if architecture.name == "lstm" else 20


@dataclass(frozen=True, slots=True)
class Case:
    """A batch."""

    size: int
    dropout: bool

    @property
    def name(self) -> str:
        return f"{self.size}-{'dropout' if self.dropout else 'plain'}"


CASES: Final = (
    Case(1, dropout=False),
    Case(7, dropout=True),
    Case(19, dropout=False),
    Case(20, dropout=True),
    Case(20, dropout=False),
)
"""Sizes, each with dropout or without it: what one does to a step does not depend on the other."""


def weights(architecture: Architecture) -> Weights:
    """Draw weights none of whose tensors is zero."""
    return _drawn(architecture).copy()


@cache
def _drawn(architecture: Architecture) -> Weights:
    rng = np.random.default_rng(5)
    vector = initial_weights(architecture, rng)
    vector += np.float32(0.02) * rng.standard_normal(vector.size, np.float32)
    return vector


Batch = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]
"""Features, true lengths, labels."""


def batch(size: int, architecture: Architecture = MODELS["conv"]) -> Batch:
    """Draw features, true lengths and labels; what lies behind an utterance is not zero."""
    rng = np.random.default_rng(size)
    frames, features = architecture.frames, architecture.features
    drawn = rng.standard_normal((size, frames, features), np.float32)
    labels = rng.integers(0, architecture.labels, size, np.int32)
    return drawn, rng.integers(architecture.reach, frames + 1, size, np.int32), labels


def sample(vector: Weights, architecture: Architecture) -> list[NDArray[np.float32]]:
    """Take some values of each tensor, always the same: a whole dense model would be 104 MB."""
    rng = np.random.default_rng(1)
    taken = []
    for spec in architecture.manifest:
        where = rng.choice(spec.size, min(SAMPLE, spec.size), replace=False)
        taken.append(vector[spec.where][where])
    return taken


def draw_masks(architecture: Architecture, seed: int | None) -> list[NDArray[np.float32]]:
    """Draw the dropout masks of a step as the engine does; ones without a seed."""
    session = _session(architecture)
    engine._fill_masks(session, None if seed is None else np.random.PCG64(seed))
    return [session.view(name).copy() for name in mask_inputs(session)]


@cache
def _session(architecture: Architecture) -> Session:
    return Session(graph_file(architecture, "train"), "train", 1)
