"""The folder of a run."""

import csv
from pathlib import Path
from typing import Any

import pytest

from edge_client.simulation.run_folder import RoundRecord, RunFolder
from edge_client.simulation.settings import SimulationSettings
from shared.errors import RunError, StorageError
from shared.settings import read_toml

SETTINGS = SimulationSettings()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def check(
    folder: RunFolder,
    settings: SimulationSettings = SETTINGS,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    folder.check(settings, resume=resume, overwrite=overwrite)


def claimed(folder: RunFolder) -> RunFolder:
    check(folder)
    folder.claim(SETTINGS, overwrite=False)
    return folder


def test_a_new_folder_gets_its_settings(folder: RunFolder) -> None:
    claimed(folder)
    assert SimulationSettings.parse(read_toml(folder.config)) == SETTINGS


def test_an_empty_folder_will_do(folder: RunFolder) -> None:
    folder.path.mkdir()
    claimed(folder)


def test_checking_writes_nothing(folder: RunFolder) -> None:
    check(folder)
    assert not folder.path.exists()


def test_a_run_is_not_replaced_unasked(folder: RunFolder) -> None:
    with pytest.raises(RunError, match="holds a run already") as caught:
        check(claimed(folder))
    assert "--resume" in caught.value.mend
    assert "--overwrite" in caught.value.mend


def test_the_same_run_may_go_on(folder: RunFolder) -> None:
    check(claimed(folder), resume=True)


@pytest.mark.parametrize(
    ("change", "difference"),
    [({"seed": 1}, "seed is 0 there, 1 here"), ({"model": "lstm"}, "model is conv there")],
)
def test_another_run_may_not_go_on_in_it(
    folder: RunFolder, change: dict[str, Any], difference: str
) -> None:
    with pytest.raises(RunError, match=f"belongs to another run: {difference}"):
        check(claimed(folder), SETTINGS.model_copy(update=change), resume=True)


def test_damaged_settings_are_another_run(folder: RunFolder) -> None:
    claimed(folder).config.write_text("nonsense")
    with pytest.raises(RunError, match=r"its config\.toml cannot be read"):
        check(folder, resume=True)


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(folder: RunFolder) -> None:
    claimed(folder)
    folder.write_result({"uar": 1})
    folder.controls.mkdir()
    (folder.controls / "client-00000.1").touch()
    (folder.path / "notes.txt").write_text("mine")
    check(folder, overwrite=True)
    assert folder.read_result() == {"uar": 1}, "checking removes nothing"
    folder.claim(SETTINGS, overwrite=True)
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.toml", "notes.txt"]


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_a_folder_of_something_else_is_left_alone(folder: RunFolder, how: dict[str, Any]) -> None:
    folder.path.mkdir()
    (folder.path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"no run has written \(thesis\.tex\)"):
        check(folder, **how)


def test_a_file_is_no_folder(folder: RunFolder) -> None:
    folder.path.write_text("a file")
    with pytest.raises(RunError, match="is a file, not a folder"):
        check(folder)


def test_a_folder_below_a_file_cannot_be(folder: RunFolder) -> None:
    folder.path.write_text("a file")
    below = RunFolder(folder.path / "below")
    with pytest.raises(StorageError, match="Cannot write"):
        claimed(below)


def test_several_runs_do_not_go_into_a_single_run_s_folder(folder: RunFolder) -> None:
    folder.check_above()
    with pytest.raises(RunError, match="holds a single run"):
        claimed(folder).check_above()


def test_rounds_are_a_table(folder: RunFolder) -> None:
    record = RoundRecord(1, 4, 1.25, None, 0.5, 0.75, 2.0, 100, 200)
    folder.write_rounds([record, record])
    with folder.rounds.open(newline="") as lines:
        first, second = csv.DictReader(lines)
    assert first == second
    assert first == {
        "round": "1",
        "clients": "4",
        "loss": "1.25",
        "validation_loss": "",
        "validation_uar": "0.5",
        "validation_accuracy": "0.75",
        "seconds": "2",
        "bytes_down": "100",
        "bytes_up": "200",
    }


def test_a_result_makes_a_run_finished(folder: RunFolder) -> None:
    assert folder.read_result() is None
    folder.write_result({"uar": 0.5})
    assert folder.read_result() == {"uar": 0.5}
    folder.result.write_text('{"uar": ')
    with pytest.raises(RunError, match=r"result\.json is damaged"):
        folder.read_result()
