"""A network that knows speech as a front end: what its file says, and what it computes."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shared.architectures import architecture_of
from shared.corpora import load_corpus
from shared.encoders.network import Network, read_network
from shared.errors import SettingsError, WeightsError
from shared.front_ends import FRONT_ENDS, MFCC40, front_end_named, front_end_of
from shared.front_ends.network import NetworkFeatures
from shared.model_notes import NO_NOTES
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.task import DEFAULT_TASK, FrontEndShape, Task
from shared.training import Examples
from shared.weights import fresh_weights, save_weights, split
from tests.shared.encoders.networks import embeddings

MODEL = architecture_of("tdnn13", Task(DEFAULT_TASK.labels, MFCC40))
CLIP = load_corpus("synthetic").clips[0]


@pytest.fixture(scope="module")
def network() -> Network:
    """Draw a network, and by what its frames are normalised."""
    rng = np.random.default_rng(4)
    mean, deviation = rng.normal(0, 5, 40), rng.uniform(5, 20, 40)
    return Network(MODEL, fresh_weights(MODEL, 1), mean, deviation)


@pytest.fixture
def file(network: Network, tmp_path: Path) -> Path:
    network.write(tmp_path / "network.safetensors", NO_NOTES)
    return tmp_path / "network.safetensors"


def test_a_file_holds_all_of_a_network(network: Network, file: Path) -> None:
    found = read_network(file)
    assert found.architecture == MODEL
    assert np.array_equal(found.weights, network.weights)
    assert np.array_equal(found.mean, network.mean)
    assert np.array_equal(found.deviation, network.deviation)


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.1])
def test_the_vector_is_what_the_last_hidden_layer_gives(
    network: Network, file: Path, seconds: float
) -> None:
    samples = np.tile(CLIP.read(), 4)[: int(16_000 * seconds)]
    front_end = front_end_named(str(file))
    vector = front_end.compute(samples)
    assert vector.shape == (1, 768)
    frames = network.normalise(FRONT_ENDS.get("mfcc40").compute(samples))
    some = Examples(frames[None], np.array([len(frames)], np.int32), np.zeros(1, np.int32))
    wanted = embeddings(MODEL, network.weights, some)
    assert (vector < 0).any(), "ReLU has not been applied"
    assert np.abs(np.maximum(vector, 0) - wanted).max() < 1e-4 * wanted.max()


def test_the_runtime_says_nothing_on_standard_error(file: Path) -> None:
    line = f"""
import numpy
from shared.front_ends import front_end_named
print(front_end_named({str(file)!r}).compute(numpy.ones(16_000, numpy.float32)).shape)
"""
    # It would say it once a process: not again in this one.
    told = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert told.stdout == "(1, 768)\n"
    assert told.stderr == ""


def test_several_threads_may_ask(file: Path) -> None:
    compute = front_end_named(str(file)).compute
    sounds = [np.tile(CLIP.read(), 2)[: 8000 + 1600 * n] for n in range(12)]
    wanted = [compute(sound) for sound in sounds]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compute, sounds * 4))
    for one, other in zip(found, wanted * 4, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_is_known_by_its_digest_and_travels(file: Path) -> None:
    found = front_end_named(str(file))
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own
    assert found.shape.name.startswith("network-")
    assert found.hop is None
    assert front_end_named(str(file)).shape == found.shape
    assert front_end_of(found.shape).shape == found.shape
    other = FrontEndShape("network-00000000", 1, 1, 768, weights="0" * 64)
    with pytest.raises(SettingsError, match="an encoder that is not here: network-00000000"):
        front_end_of(other)


def test_a_file_that_changed_is_not_the_task_s_encoder(file: Path) -> None:
    features = front_end_named(str(file)).frame_features
    assert isinstance(features, NetworkFeatures)
    file.write_bytes(file.read_bytes()[:-4] + b"\1\0\0\0")
    with pytest.raises(WeightsError, match="is not the encoder of the task any more"):
        features(CLIP.read())


@pytest.mark.parametrize(
    "frames",
    [
        "",
        "[]",
        "[" * 20_000,
        json.dumps({"mean": [0] * 39, "deviation": [1] * 39}),
        json.dumps({"mean": [0] * 40, "deviation": [-1] * 40}),
        json.dumps({"mean": [float("nan")] * 40, "deviation": [1] * 40}),
        json.dumps({"mean": ["0"] * 40}),
    ],
)
def test_frames_that_cannot_be_are_refused(network: Network, file: Path, frames: str) -> None:
    metadata = {**TensorFile(file).metadata, "frames": frames}
    write_tensors(file, split(network.weights, MODEL), metadata)
    with pytest.raises(WeightsError, match="does not say by what the frames"):
        front_end_named(str(file))


def test_weights_of_a_simulation_are_no_encoder(network: Network, tmp_path: Path) -> None:
    save_weights(tmp_path / "model.safetensors", network.weights, MODEL)
    with pytest.raises(WeightsError, match="does not say by what the frames"):
        front_end_named(str(tmp_path / "model.safetensors"))
