"""What ``edge-client examples`` and ``status`` say of what another task has left."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from edge_client.commands.examples import examples
from edge_client.commands.status import status
from edge_client.device import archive
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.federation.client_state import ClientState
from edge_client.settings import RunSettings
from shared.errors import CorpusError, SettingsError, WeightsError
from shared.front_ends import WHISPER
from shared.task import DEFAULT_TASK, FrontEndShape, Task, labels_of
from tests.as_owner import give, reachable
from tests.edge_client.device.heard import frames, recognised

LOUD = Task(DEFAULT_TASK.labels, FrontEndShape("loudness", 3, 100, 34))
MOODS = Task(labels_of(("calm", "sad")), DEFAULT_TASK.front_end)

app = typer.Typer()
app.add_typer(examples, name="examples")
app.command()(status)


def run(state: Path, *arguments: str | Path) -> str:
    """Run a command, which succeeds; give what it prints."""
    line = [*map(str, arguments), "--state", str(state)]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, line, catch_exceptions=False).stdout


def asked(state: Path, *arguments: str | Path) -> Any:
    """Run a command; give what it answers to programs."""
    return json.loads(run(state, *arguments, "--json"))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Fill a store for one task after the other; it is used for the default one last."""
    state = tmp_path / "state"
    for task, labels in ((LOUD, ["sad", "sad"]), (MOODS, ["calm"]), (DEFAULT_TASK, ["happy"])):
        with ExampleStore(state / "examples.sqlite", limit_mb=10, task=task) as store:
            for seed, label in enumerate(labels):
                heard = recognised(*[1 / len(task.labels)] * len(task.labels), task=task)
                store.label(store.add(heard, frames(seed + 10 * len(task.labels))), label)
            store.remember_task()
    return state


def test_what_another_task_has_left_is_counted_and_listed(state: Path) -> None:
    shown = run(state, "examples", "list")
    assert (
        "The store holds examples of another task, kept but not learned from: "
        "1 labelled calm, 2 of loudness 3." in shown
    )
    listed = asked(state, "examples", "list")
    assert listed["counts"]["calm"] == 1
    assert listed["other_front_ends"] == {"loudness 3": 2}
    front_ends = [one["front_end"] for one in listed["examples"]]
    assert front_ends == ["paper34 1", "paper34 1", "loudness 3", "loudness 3"]
    overview = asked(state, "status")
    assert overview["utterances"] == 4
    assert overview["other_front_ends"] == {"loudness 3": 2}
    assert "2, not learned from" in run(state, "status")


def test_what_others_said_does_not_write_to_the_terminal(state: Path) -> None:
    kept = ClientState(DeviceFolder(state).federations / "home")
    kept.enter(32 * "a")
    kept.note(0, "\x1b]0;mine\x07 [/bold]")
    shown = run(state, "status")
    assert "\x1b" not in shown
    assert r"\x1b]0;mine\x07 [/bold]" in shown


def test_what_is_exported_is_said_and_taken_in_elsewhere(state: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "mine.npz", tmp_path / "other"
    shown = run(state, "examples", "export", out)
    assert shown == f"2 examples: {out}\n2 examples of loudness 3 are not among them.\n"
    shown = run(other, "examples", "import", out)
    assert shown.startswith("2 new examples.\nThe store holds examples of another task")
    assert "1 labelled calm." in shown


def test_a_store_is_shown_as_its_device_used_it_last(state: Path, tmp_path: Path) -> None:
    with ExampleStore(state / "examples.sqlite", limit_mb=10, task=LOUD) as store:
        store.remember_task()
        archive.export(store, tmp_path / "loud.npz")
    assert asked(state, "status")["other_front_ends"] == {"paper34 1": 2}
    with pytest.raises(CorpusError, match="holds features of loudness 3") as raised:
        run(tmp_path / "other", "examples", "import", tmp_path / "loud.npz")
    assert "start this device once with --front-end loudness" in raised.value.remedy


def test_a_new_store_takes_its_task_from_the_settings(state: Path, tmp_path: Path) -> None:
    config = tmp_path / "device.toml"
    config.write_text('labels = "calm,sad"\n')
    run(state, "examples", "export", tmp_path / "mine.npz")
    run(tmp_path / "new", "examples", "import", tmp_path / "mine.npz", "--config", config)
    counts = asked(tmp_path / "new", "status")["labelled"]
    assert [*counts] == ["calm", "sad", "unlabelled", "discarded", "happy"]
    assert (counts["calm"], counts["happy"]) == (1, 1)


def test_a_new_store_takes_its_front_end_from_what_is_taken_in(tmp_path: Path) -> None:
    task = Task(DEFAULT_TASK.labels, WHISPER)
    with ExampleStore(tmp_path / "one.sqlite", limit_mb=10, task=task) as store:
        vector = np.ones((1, WHISPER.features), np.float32)
        store.label(store.add(recognised(task=task), vector), "sad")
        archive.export(store, tmp_path / "mine.npz")
    run(tmp_path / "new", "examples", "import", tmp_path / "mine.npz")
    assert asked(tmp_path / "new", "status")["labelled"]["sad"] == 1
    settings = RunSettings.parse({"mic": True, "state": tmp_path / "new"})
    assert settings.begun().front_end == "whisper-speech"


def test_the_status_of_labelled_clips_tells_their_model_and_no_starter(tmp_path: Path) -> None:
    assert "the starter of the package" in run(tmp_path, "status"), "a device would begin with it"
    clips = DeviceFolder(DeviceFolder(tmp_path).clips / "kitchen")
    with clips.taken():
        kept, name = ClientState(clips.federations / "home"), 64 * "a"
    kept.path(name).write_bytes(b"model")
    kept.use(name)
    shown = run(tmp_path, "status")
    assert "the starter of the package" not in shown
    assert "clips as kitchen, federation home" in shown
    assert "model aaaaaaaaaaaa" in shown
    assert asked(tmp_path, "status")["clips"]["kitchen"]["home"]["model"] == name


def test_the_status_of_a_device_with_an_encoder_of_one_s_own_needs_no_encoder(
    tmp_path: Path,
) -> None:
    own = FrontEndShape("network-00000000", 1, 1, 34, weights="0" * 64)
    task = Task(DEFAULT_TASK.labels, own)
    with ExampleStore(DeviceFolder(tmp_path).examples, limit_mb=10, task=task) as store:
        store.add(recognised(task=task), frames(1)[:1])
    shown = run(tmp_path, "status")
    assert "the starter of the package" not in shown, "a device would not start without its file"
    assert asked(tmp_path, "status")["model"] is None


def test_a_model_of_which_nothing_can_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(WeightsError, match=r"Cannot read .*model\.safetensors: Is a directory\."):
        run(tmp_path, "status")


def test_the_store_is_not_written_over_by_what_it_gives(state: Path) -> None:
    with pytest.raises(SettingsError, match="which is read, is the same file"):
        run(state, "examples", "export", state / "examples.sqlite")
    assert "1 labelled calm" in run(state, "examples", "list")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others")
@pytest.mark.parametrize("killed", [False, True])
def test_a_link_in_the_folder_of_somebody_else_lets_root_overwrite_nothing_elsewhere(
    *, killed: bool
) -> None:
    with reachable() as place:
        folder, secret = place / "state", place / "secret"
        secret.write_text("root's")
        folder.mkdir()
        (folder / "examples-damaged-1.sqlite").symlink_to(secret)
        if killed:
            (folder / "deleting").touch()
        give(folder, *folder.rglob("*"))
        assert asked(folder, "examples", "delete", "--yes") == {"deleted": 0}
        assert [path.name for path in folder.glob("examples*")] == []
        assert secret.read_text() == "root's"
