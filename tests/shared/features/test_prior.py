"""What statistics begin with, in files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import WeightsError
from shared.features.normalisation import RunningStatistics
from shared.features.prior import Prior, load_prior, save_prior
from shared.front_ends import FRONT_ENDS
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.task import DEFAULT_TASK, Task, labels_of

PAPER = FRONT_ENDS.get("paper34")
FRAMES = np.random.default_rng(0).normal(3, 2, (500, 34)).astype(np.float32)
PRIOR = Prior(FRAMES.mean(axis=0, dtype=float), FRAMES.std(axis=0, dtype=float), 40)


def test_statistics_with_a_prior_are_those_of_both_together() -> None:
    """40 frames that are as the prior says, and then what is heard."""
    heard = FRAMES[:60] * 2
    statistics = RunningStatistics(PAPER, PRIOR)
    statistics.update(heard)
    assert statistics.count == 100
    expected = (40 * PRIOR.mean + heard.sum(axis=0, dtype=float)) / 100
    np.testing.assert_allclose(statistics.mean, expected)
    squares = 40 * (PRIOR.deviation**2 + PRIOR.mean**2) + np.square(heard.astype(float)).sum(0)
    np.testing.assert_allclose(statistics.std, np.sqrt(squares / 100 - expected**2))
    np.testing.assert_array_equal(RunningStatistics(PAPER, PRIOR).mean, PRIOR.mean)


def test_the_prior_stays_as_it_is() -> None:
    before = PRIOR.mean.copy()
    RunningStatistics(PAPER, PRIOR).update(FRAMES)
    np.testing.assert_array_equal(PRIOR.mean, before)


def test_a_file_keeps_it_as_float32(tmp_path: Path) -> None:
    save_prior(tmp_path / "file", PRIOR, DEFAULT_TASK)
    found = load_prior(tmp_path / "file", DEFAULT_TASK)
    np.testing.assert_array_equal(found.mean, PRIOR.mean.astype(np.float32))
    np.testing.assert_array_equal(found.deviation, PRIOR.deviation.astype(np.float32))
    assert found.count == PRIOR.count


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": np.full(34, np.nan, np.float32)},
        {"mean": np.zeros(33, np.float32)},
        {"deviation": np.full(34, -1, np.float32)},
        {"count": np.array([0], np.int32)},
        {"count": np.array([1 << 30], np.int32)},
        {"more": np.zeros(1, np.float32)},
    ],
)
def test_statistics_that_cannot_be_are_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_prior(path, PRIOR, DEFAULT_TASK)
    file = TensorFile(path)
    whole = {name: file.read(name) for name in file.tensors}
    write_tensors(path, {**whole, **wrong}, file.metadata)  # type: ignore[dict-item]  # any array
    with pytest.raises(WeightsError, match="statistics that cannot be"):
        load_prior(path, DEFAULT_TASK)


def test_what_is_none_or_of_another_task_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_tensors(path, {"mean": np.zeros(34, np.float32)}, {})
    with pytest.raises(WeightsError, match="holds no statistics to begin with"):
        load_prior(path, DEFAULT_TASK)
    save_prior(path, PRIOR, DEFAULT_TASK)
    other = Task(labels_of(("calm", "angry")), DEFAULT_TASK.front_end)
    with pytest.raises(WeightsError, match="calm"):
        load_prior(path, other)
    front_end = replace(DEFAULT_TASK.front_end, version=2)
    with pytest.raises(WeightsError, match="paper34"):
        load_prior(path, Task(DEFAULT_TASK.labels, front_end))
