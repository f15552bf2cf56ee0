"""A stopped training run goes to disk and comes back."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_client.training import Progress, Trained, train
from edge_client.training_file import load_progress, save_progress
from shared.architectures import ARCHITECTURES
from shared.errors import RunError
from shared.randomness import stream
from shared.training import TrainingSettings
from shared.weights import initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples

STREAMS = partial(stream, 0, "training")
START = initial_weights(TINY, stream(0, "initial weights"))


def stopped(at: int, settings: TrainingSettings) -> Progress:
    progress = train(
        NumpyEngine(), START, examples(50), settings, STREAMS, stop=lambda step: step == at
    )
    assert isinstance(progress, Progress)
    return progress


@pytest.mark.parametrize(
    "settings",
    [
        TrainingSettings(epochs=2),
        TrainingSettings(epochs=2, optimizer="sgd", learning_rate=0.01, momentum=0.9),
    ],
    ids=lambda settings: settings.optimizer,
)
@pytest.mark.parametrize("at", [0, 1, 4])
def test_it_goes_on_bit_for_bit(tmp_path: Path, settings: TrainingSettings, at: int) -> None:
    whole = train(NumpyEngine(), START, examples(50), settings, STREAMS)
    path = tmp_path / "training.safetensors"
    save_progress(path, stopped(at, settings), TINY)
    loaded = load_progress(path, TINY)
    resumed = train(NumpyEngine(), loaded, examples(50), settings, STREAMS, anchor=START)
    assert isinstance(whole, Trained)
    assert isinstance(resumed, Trained)
    np.testing.assert_array_equal(resumed.weights, whole.weights)
    assert resumed.loss == whole.loss


@given(data=st.data())
def test_a_damaged_one_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "training.safetensors"
    save_progress(path, stopped(1, TrainingSettings()), TINY)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(RunError, match="cannot be read"):
        load_progress(path, TINY)


def test_one_that_is_not_there_of_another_model_or_too_large(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    with pytest.raises(RunError, match="cannot be read"):
        load_progress(path, TINY)
    save_progress(path, stopped(1, TrainingSettings()), TINY)
    with pytest.raises(RunError, match="belongs to"):
        load_progress(path, ARCHITECTURES["lstm"])
    path.write_bytes(path.read_bytes() + bytes(2 << 20))
    with pytest.raises(RunError, match="too large"):
        load_progress(path, TINY)
