"""Runs that are shown in one folder of TensorBoard."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from edge_client.simulation.board import shown_in
from edge_client.simulation.progress import RunProgress
from edge_client.simulation.run_folder import RoundRow
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.study import Planned

pytest.importorskip("tensorboard")


def show(board: Path, run: Path, done: int = 0, study: Path | None = None) -> None:
    """Show a run that has done some rounds, and does one more."""
    console = Console(file=io.StringIO())
    with RunProgress(console, 1) as progress, shown_in(board, None, console, study) as watch:
        watched = watch(progress.run("", 1), Planned(run, SimulationSettings()))
        watched.start(done, 20)
        watched.round(RoundRow(done + 1, 4, 1.0, None, None, None, 1.0, 0, 0))


def curves(board: Path) -> dict[str, int]:
    """Count the bytes of events in each run's folder."""
    found: dict[str, int] = {}
    for path in board.rglob("events.out.tfevents.*"):
        name = str(path.parent.relative_to(board))
        found[name] = found.get(name, 0) + path.stat().st_size
    return found


def test_runs_of_one_name_in_two_places_keep_their_curves(tmp_path: Path) -> None:
    board = tmp_path / "board"
    show(board, tmp_path / "a" / "one")
    (first,) = curves(board).values()
    show(board, tmp_path / "b" / "one")
    assert curves(board) == {"one": first, "one-2": first}
    show(board, tmp_path / "b" / "one", done=1)
    show(board, tmp_path / "a" / "one")
    assert curves(board)["one"] == first, "a run that begins anew replaces its own"
    assert curves(board)["one-2"] >= first


def test_studies_of_one_name_keep_their_curves(tmp_path: Path) -> None:
    board = tmp_path / "board"
    for place in ("a", "b"):
        show(board, tmp_path / place / "study" / "seed-0", study=tmp_path / place / "study")
    assert {*curves(board)} == {"study/seed-0", "study/seed-0-2"}


def test_a_run_of_a_study_may_lie_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk" / "17").mkdir(parents=True)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "seed-0").symlink_to(tmp_path / "disk" / "17")
    show(tmp_path / "board", tmp_path / "study" / "seed-0", study=tmp_path / "study")
    assert {*curves(tmp_path / "board")} == {"study/seed-0"}


def test_curves_of_an_earlier_version_are_gone_on_with_but_not_replaced(tmp_path: Path) -> None:
    board = tmp_path / "board"
    show(board, tmp_path / "one")
    (board / "one" / ".chorus-run").unlink()
    show(board, tmp_path / "one", done=1)
    assert {*curves(board)} == {"one"}
    (board / "one" / ".chorus-run").unlink()
    show(board, tmp_path / "one")
    assert {*curves(board)} == {"one", "one-2"}
