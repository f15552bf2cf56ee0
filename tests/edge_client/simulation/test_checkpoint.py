"""A run's state between rounds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_client.simulation.checkpoint import Checkpoint
from shared.errors import RunError, StorageError

WEIGHTS = np.arange(6, dtype=np.float32)
STATE: dict[str, NDArray[Any]] = {
    "m": np.ones(6, np.float32),
    "v": np.ones(6, np.float64),
    "step": np.array(17),
}
FACTS: dict[str, Any] = {"records": [{"round": 1, "loss": float("nan"), "uar": None}], "chosen": 1}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "c"
    Checkpoint(3, WEIGHTS, WEIGHTS + 2, WEIGHTS + 1, STATE, FACTS).save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "checkpoint.safetensors"


def test_all_of_it_comes_back(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    loaded = Checkpoint.load(path)
    assert loaded.number == 3
    np.testing.assert_array_equal(loaded.weights, WEIGHTS)
    np.testing.assert_array_equal(loaded.average, WEIGHTS + 2)
    np.testing.assert_array_equal(loaded.best, WEIGHTS + 1)
    assert loaded.state.keys() == STATE.keys()
    for name, value in STATE.items():
        np.testing.assert_array_equal(loaded.state[name], value)
        assert loaded.state[name].dtype == value.dtype
    assert repr(loaded.facts) == repr(FACTS)


def test_the_best_may_be_the_last(path: Path) -> None:
    Checkpoint(3, WEIGHTS, WEIGHTS, WEIGHTS, {}).save(path)
    loaded = Checkpoint.load(path)
    np.testing.assert_array_equal(loaded.average, WEIGHTS)
    np.testing.assert_array_equal(loaded.best, WEIGHTS)
    assert loaded.state == {}


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_truncated_one_is_refused(path: Path, content: bytes, data: st.DataObject) -> None:
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(RunError, match=r"checkpoint.* is damaged") as caught:
        Checkpoint.load(path)
    assert "--overwrite" in caught.value.mend


def test_saving_replaces_the_old_one(path: Path) -> None:
    for number in (1, 2):
        Checkpoint(number, WEIGHTS, WEIGHTS, WEIGHTS, {}).save(path)
    assert Checkpoint.load(path).number == 2
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken"):
        Checkpoint(1, WEIGHTS, WEIGHTS, WEIGHTS, {}).save(tmp_path / "taken" / "c")
