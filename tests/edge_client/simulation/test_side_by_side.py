"""Runs at a time, each in a process of its own."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edge_client.simulation.progress import WatchedRun
from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.side_by_side import execute_side_by_side
from edge_client.simulation.study import Planned
from shared.errors import RunError, StorageError
from shared.round_settings import MOST_ROUNDS


def planned(place: Path, name: str, **values: Any) -> Planned:
    return Planned(place / name, SimulationSettings.parse({"rounds": 2, **values}), name)


class Failing(WatchedRun):
    """Cannot show one thing of a run."""

    def __init__(self, run: WatchedRun, what: str) -> None:
        self._run, self._what = run, what

    def start(self, done: int, rounds: int) -> None:
        self._run.start(done, rounds)
        if self._what == "start":
            raise StorageError("The board's disk is full.", "Free some space.")

    def round(self, record: RoundRow) -> None:
        self._run.round(record)
        if self._what == "round":
            raise OSError("no board")

    def end(self, result: Mapping[str, Any]) -> None:
        self._run.end(result)
        if self._what == "end":
            raise StorageError("The board's disk is full.", "Free some space.")

    def fail(self) -> None:
        self._run.fail()


def test_a_run_that_cannot_be_shown_ends_no_other(tmp_path: Path) -> None:
    fast: dict[str, Any] = {"model": "mlp", "engine": "tflite", "clients": 2, "steps": 1}
    endless = fast | {"rounds": MOST_ROUNDS}
    rounds = {"start": endless, "round": endless, "end": fast, "nothing": fast}
    plan = [planned(tmp_path, name, **values) for name, values in rounds.items()]
    text = io.StringIO()
    console = Console(file=text, width=200)

    def make() -> dict[str, str]:
        return execute_side_by_side(
            plan, console, tmp_path, jobs=1, watch=lambda run, one: Failing(run, one.title)
        )

    failures = make()
    full = "The board's disk is full. Free some space."
    assert failures == {"start": full, "round": "OSError: no board", "end": full}
    assert f"start  failed: {full}" in text.getvalue()
    finished = [one.title for one in plan if RunFolder(one.folder).read_result()]
    assert finished == ["end", "nothing"]
    assert RunFolder(tmp_path / "round").checkpoint.exists(), "what it reached is kept"
    assert make() == failures


def test_overwriting_removes_no_run_while_the_study_is_in_use(tmp_path: Path) -> None:
    one = planned(tmp_path, "a")
    folder = RunFolder(one.folder)
    folder.claim(one.settings, resume=False, overwrite=False)
    folder.write_result({"uar": 1})
    plan = [one, planned(tmp_path, "new")]
    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(RunError, match="is in use by another process"),
    ):
        execute_side_by_side(plan, Console(quiet=True), tmp_path, jobs=1, overwrite=True)
    assert folder.read_result() == {"uar": 1}
    assert not (tmp_path / "new").exists()
