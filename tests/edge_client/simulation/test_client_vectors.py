"""What clients keep between rounds, on disk."""

from pathlib import Path

import numpy as np
import pytest

from edge_client.simulation.client_vectors import ClientVectors
from shared.errors import RunError, StorageError


def value(number: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(5, number, np.float32)


@pytest.fixture
def controls(tmp_path: Path) -> ClientVectors:
    return ClientVectors(tmp_path / "controls", "control", 5)


def test_the_first_is_zero(controls: ClientVectors) -> None:
    assert controls.of("client-00000", 99).tolist() == [0] * 5


def test_the_last_counts(controls: ClientVectors) -> None:
    for number in (2, 9, 10):
        controls.keep("client-00001", number, value(number))
    controls.keep("client-00010", 11, value(-1))
    assert controls.of("client-00001", 99).tolist() == [10] * 5
    assert controls.of("client-00010", 99).tolist() == [-1] * 5


def test_a_round_again_begins_with_what_was_there_before_it(controls: ClientVectors) -> None:
    controls.keep("a", 2, value(2))
    for _ in range(2):
        assert controls.of("a", 2).tolist() == [0] * 5
        assert controls.of("a", 5).tolist() == [2] * 5
        controls.keep("a", 5, value(5))
    controls.restore(4)
    assert controls.of("a", 9).tolist() == [2] * 5


def test_restoring_forgets_what_came_later(controls: ClientVectors) -> None:
    for number in (1, 4, 6):
        controls.keep("a", number, value(number))
    controls.keep("b", 6, value(6))
    controls.restore(5)
    assert controls.of("a", 99).tolist() == [4] * 5
    assert controls.of("b", 99).tolist() == [0] * 5


def test_settling_keeps_what_a_resumption_needs(controls: ClientVectors, tmp_path: Path) -> None:
    for number in (1, 4, 6):
        controls.keep("a", number, value(number))
    controls.keep("b", 1, value(1))
    controls.settle(5)
    kept = sorted(path.name for path in (tmp_path / "controls").iterdir())
    assert kept == ["a.control.4", "a.control.6", "b.control.1"]
    controls.restore(5)
    assert controls.of("a", 99).tolist() == [4] * 5


def test_another_process_goes_on_with_what_is_there(
    controls: ClientVectors, tmp_path: Path
) -> None:
    for number in (2, 10):
        controls.keep("a", number, value(number))
    again = ClientVectors(tmp_path / "controls", "control", 5)
    assert again.of("a", 99).tolist() == [10] * 5
    again.restore(9)
    assert again.of("a", 99).tolist() == [2] * 5


def test_kinds_are_kept_apart(controls: ClientVectors, tmp_path: Path) -> None:
    controls.keep("a", 1, value(1))
    residuals = ClientVectors(tmp_path / "controls", "residual", 5)
    assert residuals.of("a", 99).tolist() == [0] * 5
    residuals.keep("a", 2, value(2))
    residuals.restore(0)
    assert controls.of("a", 99).tolist() == [1] * 5


def test_before_the_first_round_there_is_nothing(controls: ClientVectors, tmp_path: Path) -> None:
    controls.restore(0)
    controls.settle(0)
    assert not list(tmp_path.iterdir())


def test_without_a_folder_they_are_temporary() -> None:
    controls = ClientVectors(None, "control", 5)
    controls.keep("a", 1, value(3))
    assert controls.of("a", 99).tolist() == [3] * 5


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    controls = ClientVectors(tmp_path / "taken", "control", 5)
    with pytest.raises(StorageError, match="taken"):
        controls.keep("a", 1, value(1))


def test_a_file_that_a_power_cut_has_emptied_is_named(
    controls: ClientVectors, tmp_path: Path
) -> None:
    controls.keep("a", 2, value(2))
    (tmp_path / "controls" / "a.control.2").write_bytes(b"")
    with pytest.raises(RunError, match=r"a\.control\.2 is damaged"):
        controls.of("a", 3)
