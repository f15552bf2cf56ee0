"""The front end that is a model's last hidden layer, against Keras."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_client.simulation.studies.pretraining import embedder
from shared.architectures import architecture_of
from shared.audio import RATE, Samples
from shared.errors import WeightsError
from shared.front_ends import MFCC40, front_end_named, front_end_of
from shared.front_ends.embedding import normalised_by_itself
from shared.task import DEFAULT_TASK, Task
from shared.training import Examples
from shared.weights import fresh_weights, save_weights

SOUND: Samples = np.random.default_rng(4).standard_normal(2 * RATE).astype(np.float32) / 8
MODEL = architecture_of("tdnn", Task(DEFAULT_TASK.labels, MFCC40))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_weights(tmp_path / "tdnn.safetensors", fresh_weights(MODEL, 1), MODEL)
    return tmp_path / "tdnn.safetensors"


@pytest.mark.parametrize("seconds", [0.1, 1.03, 2])
def test_the_embedding_is_that_of_keras(path: Path, seconds: float) -> None:
    sound = SOUND[: int(seconds * RATE)]
    found = front_end_named(str(path))
    assert found.shape.features == 128
    frames = normalised_by_itself(front_end_of(MFCC40).compute(sound))
    some = Examples(frames[None], np.array([len(frames)], np.int32), np.zeros(1, np.int32))
    wanted = embedder(MODEL, fresh_weights(MODEL, 1))(some)
    assert wanted.max() > 0.01
    np.testing.assert_allclose(found.compute(sound), wanted, atol=1e-4)


def test_it_is_named_by_its_digest_and_travels(path: Path) -> None:
    found = front_end_named(str(path))
    assert found.shape.name == f"embedding-{found.shape.weights[:8]}"
    there = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    assert there == found == front_end_of(found.shape)


def test_several_threads_may_ask(path: Path) -> None:
    compute = front_end_named(str(path)).compute
    sounds = [SOUND[: RATE // 2 + 1600 * n] for n in range(12)]
    wanted = [compute(sound) for sound in sounds]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compute, sounds * 4))
    for one, other in zip(found, wanted * 4, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_without_an_embedding_over_time_is_one_sentence(tmp_path: Path) -> None:
    model = architecture_of("conv", DEFAULT_TASK)
    save_weights(tmp_path / "conv.safetensors", fresh_weights(model, 0), model)
    with pytest.raises(WeightsError, match="a model of conv, which makes no embedding"):
        front_end_named(str(tmp_path / "conv.safetensors"))


def test_a_feature_that_does_not_change_is_normalised_to_zero() -> None:
    assert not normalised_by_itself(np.full((7, 2), 3, np.float32)).any()
