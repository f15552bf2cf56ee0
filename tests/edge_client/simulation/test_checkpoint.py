"""A run's state between rounds."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from edge_client.simulation.checkpoint import Checkpoint
from edge_client.simulation.run_folder import RoundRow
from shared.errors import RunError, StorageError
from shared.task import PAPER34, Task, labels_of
from tests.edge_client.tiny import TINY

WEIGHTS = np.arange(TINY.parameters, dtype=np.float32)
STATE: dict[str, NDArray[Any]] = {
    "m": np.ones_like(WEIGHTS),
    "v": np.ones_like(WEIGHTS, np.float64),
    "step": np.array(17),
}
RECORDS = tuple(
    RoundRow(number, 4, float("nan"), None, 0.5, None, 1.5, 8, 9) for number in (1, 2, 3)
)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "c"
    Checkpoint(3, WEIGHTS, WEIGHTS + 2, WEIGHTS + 1, STATE, 2, RECORDS).save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "checkpoint.safetensors"


def test_all_of_it_comes_back(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    loaded = Checkpoint.load(path, TINY)
    assert (loaded.number, loaded.chosen) == (3, 2)
    np.testing.assert_array_equal(loaded.weights, WEIGHTS)
    np.testing.assert_array_equal(loaded.average, WEIGHTS + 2)
    np.testing.assert_array_equal(loaded.best, WEIGHTS + 1)
    assert loaded.state.keys() == STATE.keys()
    for name, value in STATE.items():
        np.testing.assert_array_equal(loaded.state[name], value)
        assert loaded.state[name].dtype == value.dtype
    assert repr(loaded.records) == repr(RECORDS)


def test_one_of_another_task_is_refused_whatever_its_size(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    other = replace(TINY, task=Task(labels_of(("sad", "neutral", "happy", "angry")), PAPER34))
    with pytest.raises(RunError, match="it is of another task"):
        Checkpoint.load(path, other)
    Checkpoint(3, WEIGHTS, WEIGHTS, WEIGHTS, {}, 3, RECORDS, other.task.digest).save(path)
    assert Checkpoint.load(path, other).task == other.task.digest


def test_one_written_by_another_library_is_read_and_reads_as_its_own(path: Path) -> None:
    facts = {"number": 3, "chosen": 2, "records": [asdict(record) for record in RECORDS]}
    arrays = {"weights": WEIGHTS, "best": WEIGHTS + 1}
    save_file(
        arrays | {f"state.{name}": value for name, value in STATE.items()},
        path,
        {"facts": json.dumps(facts)},
    )
    loaded = Checkpoint.load(path, TINY)
    assert loaded.best.tobytes() == (WEIGHTS + 1).tobytes()
    assert loaded.state["step"] == 17
    loaded.save(path)
    again = load_file(path)
    assert again["state.v"].tobytes() == STATE["v"].tobytes()
    assert again["state.step"].shape == ()


def test_a_thousand_rounds_come_back(path: Path) -> None:
    rows = tuple(replace(RECORDS[0], round=number) for number in range(1, 1001))
    Checkpoint(1000, WEIGHTS, WEIGHTS, WEIGHTS, {}, 1, rows).save(path)
    assert repr(Checkpoint.load(path, TINY).records) == repr(rows)


def test_the_best_may_be_the_last(path: Path) -> None:
    Checkpoint(3, WEIGHTS, WEIGHTS, WEIGHTS, {}, 3, RECORDS).save(path)
    loaded = Checkpoint.load(path, TINY)
    np.testing.assert_array_equal(loaded.average, WEIGHTS)
    np.testing.assert_array_equal(loaded.best, WEIGHTS)
    assert loaded.state == {}


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_truncated_one_is_refused(path: Path, content: bytes, data: st.DataObject) -> None:
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(RunError, match=r"checkpoint.* is damaged") as caught:
        Checkpoint.load(path, TINY)
    assert "--overwrite" in caught.value.remedy


RECORD = asdict(RECORDS[0])
GOOD = {"number": 1, "chosen": 1, "records": [RECORD]}


@pytest.mark.parametrize(
    "facts",
    [
        [],
        3,
        {"number": 1},
        {**GOOD, "number": "one"},
        {**GOOD, "number": 2},
        {**GOOD, "chosen": 2},
        {**GOOD, "chosen": -1},
        {**GOOD, "records": {}},
        {**GOOD, "records": [3]},
        {**GOOD, "records": [{**RECORD, "loss": "much"}]},
        {**GOOD, "records": [{**RECORD, "round": 7}]},
        {**GOOD, "records": [{"round": 1}]},
    ],
    ids=repr,
)
def test_rounds_that_do_not_fit_are_refused(path: Path, facts: Any) -> None:
    save_file({"weights": WEIGHTS}, path, {"facts": json.dumps(GOOD)})
    Checkpoint.load(path, TINY)
    save_file({"weights": WEIGHTS}, path, {"facts": json.dumps(facts)})
    with pytest.raises(RunError, match=r"checkpoint.* is damaged"):
        Checkpoint.load(path, TINY)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"weights": WEIGHTS[1:]},
        {"weights": WEIGHTS.astype(np.float64)},
        {"weights": WEIGHTS.reshape(1, -1)},
        {"weights": WEIGHTS, "best": WEIGHTS[1:]},
        {"weights": WEIGHTS, "average": WEIGHTS[1:]},
        {"weights": WEIGHTS, "state.m": WEIGHTS[1:]},
    ],
    ids=lambda arrays: ", ".join(f"{name} {a.dtype} {a.shape}" for name, a in arrays.items()),
)
def test_arrays_that_do_not_fit_are_refused(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    save_file(arrays, path, {"facts": json.dumps(GOOD)})
    with pytest.raises(RunError, match=r"checkpoint.* is damaged"):
        Checkpoint.load(path, TINY)


def test_saving_replaces_the_old_one(path: Path) -> None:
    for number in (1, 2):
        Checkpoint(number, WEIGHTS, WEIGHTS, WEIGHTS, {}, 1, RECORDS[:number]).save(path)
    assert Checkpoint.load(path, TINY).number == 2
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken"):
        Checkpoint(1, WEIGHTS, WEIGHTS, WEIGHTS, {}).save(tmp_path / "taken" / "c")
