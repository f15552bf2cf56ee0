"""Utterances to put into a store or a device, and what is expected of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from edge_client.device.device import Device
from edge_client.device.store import ExampleStore
from edge_client.device.stored import Stored
from edge_client.device.stored_utterance import StoredUtterance
from edge_client.hearing.utterance import Utterance
from shared.architectures import Architecture, architecture_of
from shared.audio import RATE
from shared.features.normalisation import RunningStatistics
from shared.frames import pad
from shared.front_ends import FRONT_ENDS
from shared.front_ends.paper34 import frame_features
from shared.inference import Inference
from shared.task import DEFAULT_TASK, PAPER34, Task
from shared.weights import Weights, save_weights

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)

CONV = architecture_of("conv", DEFAULT_TASK)

Open = Callable[..., Device]
"""Start a device with these settings."""


def frames(seed: int, count: int = 30) -> NDArray[np.float32]:
    """Draw features of frames."""
    return np.random.default_rng(seed).standard_normal((count, 34), np.float32)


def recognised(*probabilities: float, task: Task = DEFAULT_TASK) -> StoredUtterance:
    """Make what is known of an utterance before it is kept."""
    probabilities = probabilities or (0.1, 0.6, 0.2, 0.1)
    return StoredUtterance(0, NOON, 3.1, probabilities, task.names, str(task.front_end))


def utterance(seed: int = 0, seconds: float = 2.0) -> Utterance:
    """Make a sound."""
    noise = np.random.default_rng(seed).standard_normal(int(seconds * RATE), np.float32)
    return Utterance(noise / np.abs(noise).max(), 0.0)


def labelled(store: ExampleStore) -> Stored:
    """Give all that is labelled."""
    return store.stored(store.labelled(1000))


def add_labelled(store: ExampleStore, seeds: range) -> None:
    """Keep utterances and label them."""
    for seed in seeds:
        store.label(store.add(recognised(), frames(seed, 100)), "sad")


def hear(device: Device, seed: int = 0, seconds: float = 2.0) -> StoredUtterance:
    """Let a device hear a sound."""
    recognition = device.hear(utterance(seed, seconds))
    assert recognition is not None
    return recognition


def use_weights(
    device: Device, weights: Weights, named: str, architecture: Architecture | None = None
) -> None:
    """Give a device a new global model of ``conv``, or another one, in a file."""
    architecture = architecture or architecture_of("conv", device.task)
    with TemporaryDirectory() as folder:
        file = Path(folder, "new.safetensors")
        save_weights(file, weights, architecture)
        device.use_model(file, named, architecture)


def expected(weights: Weights, seeds: list[int]) -> tuple[float, ...]:
    """Recognise the last of some utterances by the parts themselves."""
    statistics = RunningStatistics(FRONT_ENDS.get("paper34"))
    for seed in seeds:
        own = frame_features(utterance(seed).samples)
        statistics.update(own)
    features = statistics.normalise(pad(own, PAPER34), len(own))
    logits = Inference(CONV, weights).logits(features, len(own))
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return tuple((powers / powers.sum()).tolist())
