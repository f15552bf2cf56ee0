"""SCAFFOLD's control variates on disk."""

from pathlib import Path

import numpy as np
import pytest

from edge_client.simulation.controls import Controls
from shared.errors import StorageError


def value(number: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(5, number, np.float32)


@pytest.fixture
def controls(tmp_path: Path) -> Controls:
    return Controls(tmp_path / "controls", 5)


def test_the_first_is_zero(controls: Controls) -> None:
    assert controls.of("client-00000").tolist() == [0] * 5


def test_the_last_counts(controls: Controls) -> None:
    for number in (2, 9, 10):
        controls.keep("client-00001", number, value(number))
    controls.keep("client-00010", 11, value(-1))
    assert controls.of("client-00001").tolist() == [10] * 5
    assert controls.of("client-00010").tolist() == [-1] * 5


def test_restoring_forgets_what_came_later(controls: Controls) -> None:
    for number in (1, 4, 6):
        controls.keep("a", number, value(number))
    controls.keep("b", 6, value(6))
    controls.restore(5)
    assert controls.of("a").tolist() == [4] * 5
    assert controls.of("b").tolist() == [0] * 5


def test_settling_keeps_what_a_resumption_needs(controls: Controls, tmp_path: Path) -> None:
    for number in (1, 4, 6):
        controls.keep("a", number, value(number))
    controls.keep("b", 1, value(1))
    controls.settle(5)
    kept = sorted(path.name for path in (tmp_path / "controls").iterdir())
    assert kept == ["a.4", "a.6", "b.1"]
    controls.restore(5)
    assert controls.of("a").tolist() == [4] * 5


def test_before_the_first_round_there_is_nothing(controls: Controls, tmp_path: Path) -> None:
    controls.restore(0)
    controls.settle(0)
    assert not list(tmp_path.iterdir())


def test_without_a_folder_they_are_temporary() -> None:
    controls = Controls(None, 5)
    controls.keep("a", 1, value(3))
    assert controls.of("a").tolist() == [3] * 5


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    controls = Controls(tmp_path / "taken", 5)
    with pytest.raises(StorageError, match="taken"):
        controls.keep("a", 1, value(1))
