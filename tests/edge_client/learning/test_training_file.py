"""A stopped training run goes to disk and comes back."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_client.learning.training import OptimizerState, Progress, Trained, train
from edge_client.learning.training_file import load_progress, save_progress
from shared.architectures import architecture_of
from shared.errors import RunError
from shared.randomness import stream
from shared.storage.tensor_file import write_tensors
from shared.task import DEFAULT_TASK
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


def test_one_that_is_not_there_or_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    with pytest.raises(RunError, match="There is no file"):
        load_progress(path, TINY)
    save_progress(path, stopped(1, TrainingSettings()), TINY)
    with pytest.raises(RunError, match="belongs to"):
        load_progress(path, architecture_of("lstm", DEFAULT_TASK))


FACTS = {"architecture": TINY.name, "step": 1, "optimizer_step": 1}
VECTORS = {"weights": START, "losses": np.zeros(1), "m": START, "v": START}


@pytest.mark.parametrize(
    ("facts", "vectors", "why"),
    [
        (FACTS, VECTORS | {"weights": START[:-1]}, "weights is not"),
        (FACTS, VECTORS | {"weights": START.astype(np.float64)}, "weights is not"),
        (FACTS, VECTORS | {"m": START[:5]}, "m is not"),
        (FACTS, VECTORS | {"other": START}, "other is not"),
        (FACTS, VECTORS | {"losses": START}, "losses is not"),
        (FACTS, VECTORS | {"losses": np.zeros((1 << 17) + 1)}, "losses is not"),
        (FACTS, {"losses": np.zeros(1)}, "weights"),
        (FACTS | {"step": "many"}, VECTORS, "many"),
        ([], VECTORS, "indices"),
        ({"architecture": TINY.name}, VECTORS, "step"),
    ],
)
def test_one_that_holds_something_else_is_refused(
    tmp_path: Path, facts: object, vectors: dict[str, NDArray[Any]], why: str
) -> None:
    path = tmp_path / "training.safetensors"
    write_tensors(path, vectors, {"facts": json.dumps(facts)})
    with pytest.raises(RunError, match=f"cannot be read: .*{why}"):
        load_progress(path, TINY)


def test_the_head_alone_has_shorter_slots(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    slots = {name: np.ones(TINY.parameters - TINY.head_offset, np.float32) for name in "mv"}
    save_progress(path, Progress(3, START, OptimizerState(3, slots), (0.5,)), TINY)
    loaded = load_progress(path, TINY)
    assert loaded.optimizer.slots.keys() == slots.keys()
    assert loaded.optimizer.slots["v"].tolist() == slots["v"].tolist()
