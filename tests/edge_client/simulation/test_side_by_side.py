"""Runs at a time, each in a process of its own."""

from pathlib import Path

import pytest
from rich.console import Console

from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.side_by_side import execute_side_by_side
from edge_client.simulation.study import Planned
from shared.errors import RunError


def planned(place: Path, name: str) -> Planned:
    return Planned(place / name, SimulationSettings.parse({"rounds": 2}), name)


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
