"""The folder of a run."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.language_settings import EmbeddingCellSettings
from shared.errors import RunError, StorageError
from shared.settings import Settings
from shared.settings_file import read_toml
from tests.edge_client.simulation.studies.test_unheard import write_network

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
    claim(folder)
    return folder


def claim(
    folder: RunFolder,
    settings: SimulationSettings = SETTINGS,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    check(folder, settings, resume=resume, overwrite=overwrite)
    folder.claim(settings, resume=resume, overwrite=overwrite)


def visible(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.path.glob("[!.]*"))


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
    assert "--resume" in caught.value.remedy
    assert "--overwrite" in caught.value.remedy


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


BEFORE = """\
corpus = "ravdess"
data = "speech/ravdess"
happy = "both"
normalisation = "device"
protocol = "speakers"
folds = 6
fold = 1
validation = true
choose = "best"
model = "conv"
engine = "keras"
partition = "random"
alpha = 0.5
fraction = 1.0
client_dropout = 0.0
codec = "float32"
baseline = false
rounds = 20
schedule = "constant"
strategy = "fedadam"
server_schedule = "constant"
averaging = 0.0
tau = 0.01
optimizer = "adam"
learning_rate = 0.01
momentum = 0.0
batch_size = 20
proximal = 0.0
dropout = true
augmentation = false
head_only = false
seed = 3
"""
"""What version 0.1.0 wrote beside a run."""


def test_a_run_of_version_0_1_goes_on(folder: RunFolder) -> None:
    folder.path.mkdir()
    folder.config.write_text(BEFORE)
    folder.rounds.touch()
    settings = SimulationSettings.collect({}, folder.config)
    assert settings == SimulationSettings(
        corpus="ravdess",
        data=Path("speech/ravdess"),
        seed=3,
        strategy="fedadam",
        tau=0.01,
        learning_rate=0.01,
    )
    check(folder, settings, resume=True)


def test_threads_and_ways_to_name_a_file_make_no_other_run(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = (
        SimulationSettings.parse({"corpus": "manifest", "data": data, "threads": threads})
        for data, threads in (("m.csv", 1), (tmp_path / "m.csv", 2))
    )
    claim(folder, one)
    claim(folder, other, resume=True)
    assert SimulationSettings.parse(read_toml(folder.config)) == one, "it is still the first's"
    elsewhere = other.model_copy(update={"data": tmp_path / "n.csv"})
    with pytest.raises(RunError, match=r"data is m\.csv there, .*n\.csv here"):
        check(folder, elsewhere, resume=True)


@pytest.mark.parametrize(
    ("name", "one", "other", "another"),
    [
        ("front_end", "two.safetensors", "./two.safetensors", "whisper-speech"),
        ("front_end", "{}/two.safetensors", "two.safetensors", "whisper-speech"),
        ("partition", "two.csv", "./two.csv", "x/two.csv"),
        ("corpus", ("en=ravdess:rav",), ("en=ravdess:./rav",), ("de=ravdess:rav",)),
        ("corpus", ("en=ravdess:rav",), ("en=ravdess:{}/rav",), ("en=ravdess:emo",)),
        ("vectors", ("a.safetensors+text",), ("./a.safetensors+text",), ("a.safetensors",)),
        ("sentences", "mini", "x/../mini", "maxi"),
        ("labels", ("angry", "sad"), ("angry", "sad"), ("sad", "angry")),
    ],
)
def test_ways_to_name_a_file_in_a_text_make_no_other_run(
    name: str, one: Any, other: Any, another: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "run")
    if name == "front_end":
        write_network(tmp_path / "two.safetensors", "emodb")

    def named(value: Any) -> Settings:
        texts = json.loads(json.dumps(value).replace("{}", str(tmp_path)))
        if name in SimulationSettings.model_fields and name not in ("corpus", "labels"):
            return SimulationSettings.parse({"model": "head", name: texts})
        return EmbeddingCellSettings.parse({"tested": "en", name: texts})

    folder.claim(named(one), resume=False, overwrite=False)
    folder.check(named(other), resume=True, overwrite=False)
    with pytest.raises(RunError, match=f"{name} is .* there"):
        folder.check(named(another), resume=True, overwrite=False)


def test_a_word_is_no_other_word_that_a_link_leads_to(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best").symlink_to("last")
    claimed(folder)
    with pytest.raises(RunError, match="choose is best there, last here"):
        check(folder, SETTINGS.model_copy(update={"choose": "last"}), resume=True)


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
    claim(folder, overwrite=True)
    assert visible(folder) == ["config.toml", "notes.txt"]


def test_overwriting_that_is_interrupted_can_be_done_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed(folder).write_rounds([])
    folder.write_result({"uar": 1})
    real = Path.unlink

    def interrupted(path: Path, *, missing_ok: bool = False) -> None:
        if path == folder.rounds:
            raise KeyboardInterrupt
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        claim(folder, overwrite=True)
    monkeypatch.undo()
    claim(folder, overwrite=True)
    assert visible(folder) == ["config.toml"]


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_a_folder_of_something_else_is_left_alone(folder: RunFolder, how: dict[str, Any]) -> None:
    folder.path.mkdir()
    (folder.path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"no run has written \(thesis\.tex\)"):
        check(folder, **how)


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_somebody_s_settings_make_no_run(folder: RunFolder, how: dict[str, Any]) -> None:
    folder.path.mkdir()
    folder.config.write_text("# mine\n")
    folder.model.write_text("of my starter")
    with pytest.raises(RunError, match=r"no run has written \(config\.toml\)"):
        check(folder, **how)
    assert visible(folder) == ["config.toml", "model.safetensors"]


@pytest.mark.parametrize("kept", ["checkpoint.safetensors", "rounds.csv", "result.json"])
def test_a_copy_of_a_run_without_its_hidden_files_is_one(folder: RunFolder, kept: str) -> None:
    (claimed(folder).path / ".lock").unlink()
    (folder.path / kept).touch()
    check(folder, resume=True)


@pytest.mark.parametrize("name", sorted({*RunFolder.FILES} - {"config.toml"}))
def test_a_file_that_is_called_as_a_run_s_is_left_alone(folder: RunFolder, name: str) -> None:
    folder.path.mkdir()
    (folder.path / name).write_text("{}")
    with pytest.raises(RunError, match=rf"no run has written \({re.escape(name)}\)"):
        check(folder, resume=True)


def test_two_processes_are_not_in_it_at_a_time(folder: RunFolder) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from edge_client.simulation.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked():\n"
        "    print(flush=True); sys.stdin.read()\n"
    )
    line = [sys.executable, "-c", program, str(folder.path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RunError, match="is in use by another process") as caught:
            claim(folder)
        assert caught.value.remedy
        assert visible(folder) == []
        other.stdin.close()
        other.wait()
    claim(folder)


def test_what_came_in_between_is_seen(folder: RunFolder) -> None:
    check(folder)
    claimed(RunFolder(folder.path))
    with pytest.raises(RunError, match="holds a run already"):
        folder.claim(SETTINGS, resume=False, overwrite=False)


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
    folder.check_above("experiment one")
    with pytest.raises(RunError, match="holds a single run"):
        claimed(folder).check_above("experiment one")


def test_a_summary_is_replaced_by_one_of_its_kind_only(folder: RunFolder) -> None:
    folder.write_summary("experiment one", {"cells": []})
    folder.table.write_text("| a |")
    folder.check_above("experiment one")
    assert json.loads(folder.result.read_text()) == {"summary": "experiment one", "cells": []}
    with pytest.raises(RunError, match=r"result\.json is of something else"):
        folder.check_above("experiment two")


@pytest.mark.parametrize("content", [b"precious", b'{"uar": 1}', b"[1]", b"null", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["result.json", "table.md"])
def test_a_summary_replaces_nothing_of_others(folder: RunFolder, name: str, content: bytes) -> None:
    folder.path.mkdir()
    (folder.path / name).write_bytes(content)
    with pytest.raises(RunError, match=f"{name} is of something else, and would be replaced"):
        folder.check_above("simulate")


def test_rounds_are_a_table(folder: RunFolder) -> None:
    record = RoundRow(1, 4, 1.25, None, 0.5, 0.75, 2.0, 100, 200)
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


@pytest.mark.parametrize("text", ["a\0b\n1,2\n", "a,b\n1\n", "a,b\n" + "1" * 200_000 + ",2\n", ""])
def test_damaged_rounds_are_called_so(folder: RunFolder, text: str) -> None:
    claimed(folder).rounds.write_text(text)
    with pytest.raises(RunError, match=r"rounds\.csv is damaged"):
        folder.read_rounds()


@pytest.mark.parametrize("text", ['{"uar": ', "[]", "3", "null", "[" * 100_000])
def test_a_damaged_result_is_called_so(folder: RunFolder, text: str) -> None:
    claimed(folder).result.write_text(text)
    with pytest.raises(RunError, match=r"result\.json is damaged") as caught:
        folder.read_result()
    assert "--resume" in caught.value.remedy


def test_a_finished_run_keeps_nothing_to_go_on_with(folder: RunFolder) -> None:
    claimed(folder).checkpoint.write_bytes(b"56 MB")
    folder.controls.mkdir()
    (folder.controls / "client-00000.control.1").write_bytes(b"more")
    folder.write_result({"uar": 0.5})
    assert visible(folder) == ["config.toml", "result.json"]
