"""Pretraining: what is folded computes the same, and a lesson is learnt by the network's layers."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.keras_import import import_tensorflow
from converters.keras_models import build, set_weights
from edge_client.simulation.studies.distillation import Distillation
from edge_client.simulation.studies.pretraining import (
    Course,
    _Network,
    check_can_learn,
    pretrain,
)
from edge_client.simulation.utterances import Indices
from shared.architectures import Architecture, architecture_of
from shared.command.progress import tracker
from shared.errors import SettingsError
from shared.layers import HEAD, LOGITS, Conv1D, Dense, StatisticsPooling
from shared.lengths import model_length, padded, shares
from shared.task import DEFAULT_TASK, FrontEndShape, Task
from shared.training import Examples
from shared.weights import Weights, split

SHAPE = FrontEndShape("short", version=1, frames=200, features=6, variable=True)
TASK = Task(DEFAULT_TASK.labels, SHAPE)
SMALL = Architecture(
    "small",
    (
        Conv1D("frame1", 8, stride=2),
        Conv1D("frame2", 8),
        Conv1D("frame3", 8, kernel=1),
        StatisticsPooling("statistics"),
        Dense(HEAD, 12),
        Dense(LOGITS, 4, hidden=False),
    ),
    SHAPE.frames,
    SHAPE.features,
    TASK,
)
"""It reaches over seven frames."""
COARSE = replace(SMALL, layers=(Conv1D("frame1", 8, 5, stride=4), *SMALL.layers[1:]))
"""It gives one frame of two that an encoder gives."""


def heard(count: int = 24) -> Examples:
    """Draw utterances, each with an offset of its own."""
    rng = np.random.default_rng(3)
    frames = rng.integers(20, 80, count, np.int32)
    features = rng.standard_normal((count, 80, 6), np.float32)
    features += rng.standard_normal((count, 1, 6), np.float32)
    return Examples(padded(features, frames, 80), frames, np.zeros(count, np.int32))


def taught(examples: Examples, architecture: Architecture = SMALL) -> Distillation:
    """Let an encoder give of each second frame what the network hears then."""
    rows = [row[:count] for row, count in zip(examples.features, examples.frames, strict=True)]
    layers = [row[::2].astype(np.float16) for row in rows]
    return Distillation(layers, examples.frames, architecture)


def behind_convolutions(weights: Weights, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute what the last of a plain network's convolutions gives."""
    model = build(SMALL)
    set_weights(model, SMALL, weights)
    found: Any = features
    for layer in model.layers[:6]:
        found = layer(found)
    values: NDArray[np.float32] = found.numpy()
    return values


class Nothing:
    """A lesson that teaches nothing."""

    variables: Sequence[Any] = ()

    def targets(self, where: Indices, frames: int) -> tuple[NDArray[Any], ...]:
        del where, frames
        return ()

    def loss(self, hidden: Any, embedding: Any, *targets: Any) -> Any:
        del targets
        return import_tensorflow().reduce_sum(hidden) * 0 + 0 * embedding[0, 0]


def test_plain_layers_compute_what_the_normalised_ones_did() -> None:
    some = heard(8)
    length = model_length(SMALL, some.frames)
    network = _Network(SMALL, seed=0)
    features = padded(some.features, some.frames, length)
    counting = shares(SMALL.at(length), some.frames)
    for _ in range(300):  # until the running mean and variance are those of the batch
        wanted, _ = network.forward(features, counting)
    found = behind_convolutions(network.folded(), features)
    assert np.abs(wanted.numpy()).max() > 0.1
    assert np.abs(found - wanted.numpy()).max() < 1e-4


def test_a_lesson_is_learnt_and_the_logits_know_nothing() -> None:
    some = heard()
    lesson = taught(some)
    with tracker(shown=False) as bar:
        weights = pretrain(SMALL, some, lesson, Course(100, batch=8, rate=2e-2), bar)
    length = model_length(SMALL, some.frames)
    counts = shares(SMALL.at(length), some.frames) > 0
    hidden = behind_convolutions(weights, padded(some.features, some.frames, length))
    kernel, bias = (variable.numpy() for variable in lesson.variables)
    true, _ = lesson.targets(np.arange(len(some)), counts.shape[1])
    errors = np.square(hidden @ kernel + bias - true)[counts].mean()
    assert errors < 0.3 * true[counts].astype(np.float32).var()
    tensors = split(weights, SMALL)
    assert np.array_equal(tensors[f"{HEAD}/kernel"], np.eye(16, 12, dtype=np.float32))
    assert not tensors["logits/kernel"].any()
    assert not tensors["logits/bias"].any()


def test_the_same_seed_gives_the_same_weights() -> None:
    some = heard(6)
    ends = []
    for seed in (1, 1, 2):
        with tracker(shown=False) as bar:
            ends.append(pretrain(SMALL, some, Nothing(), Course(2, seed=seed), bar))
    assert np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


def learn_dilated() -> None:
    layers = (SMALL.layers[0], Conv1D("frame2", 8, dilation=2), *SMALL.layers[2:])
    architecture, some = replace(SMALL, layers=layers), heard(6)
    with tracker(shown=False) as bar:
        pretrain(architecture, some, taught(some, architecture), Course(1), bar)


@pytest.mark.parametrize("kernels", ["0", "1"])
def test_dilated_convolutions_learn_with_either_kernels_of_tensorflow(kernels: str) -> None:
    """It takes oneDNN's, unless told, on processors with AVX512-VNNI alone."""
    line = f"from {__name__} import learn_dilated; learn_dilated()"
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": kernels}
    done = subprocess.run(
        [sys.executable, "-c", line],
        cwd=Path(__file__).parents[4],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("architecture", [SMALL, COARSE])
def test_a_frame_tells_what_the_encoder_gave_in_the_middle_of_what_it_heard(
    architecture: Architecture,
) -> None:
    some = heard(2)
    numbers = [np.arange(-(-int(count) // 2), dtype=np.float16)[:, None] for count in some.frames]
    lesson = Distillation(numbers, some.frames, architecture)
    told, counts = lesson.targets(np.array([1]), 40)
    true = int((counts[0] > 0).sum())
    starts = architecture.stride * np.arange(true)
    middles = (starts + (architecture.reach - 1) // 2) // 2
    every = np.concatenate(numbers).astype(np.float64)
    found = told[0, :true] * every.std() + every.mean()
    for ahead in range(architecture.stride // 2):
        expected = np.minimum(middles + ahead, len(numbers[1]) - 1)
        np.testing.assert_allclose(found[:, ahead], expected, atol=0.05)
    assert starts[-1] + architecture.reach <= some.frames[1]
    assert some.frames[1] < starts[-1] + architecture.stride + architecture.reach
    assert counts.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", ["conv", "lstm"])
def test_a_model_without_pooling_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} cannot be pretrained"):
        check_can_learn(architecture_of(name, DEFAULT_TASK))
