"""A process is killed while it deletes everything: whoever takes the folder next finishes it."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_client.cli import app
from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from shared.errors import RunError
from tests.edge_client.device.heard import add_labelled, hear
from tests.killing import killed_at

KEPT = {"lock", "model.safetensors", "examples.sqlite"}
SAID = "was being deleted when the program was ended: the rest of it is deleted now."


def settings(state: DeviceFolder) -> DeviceSettings:
    return DeviceSettings(state=state.path, keep_audio=True)


@pytest.fixture
def filled(tmp_path: Path) -> DeviceFolder:
    """Fill a state folder with some of each."""
    state = DeviceFolder(tmp_path / "filled")
    with Device(settings(state)) as device:
        for seed in range(3):
            device.correct(hear(device, seed, 0.5).identifier, "sad")
    for one in (state, DeviceFolder(state.clips / "kitchen")):
        with one.taken():
            (one.federations / "home").mkdir(parents=True)
            (one.federations / "home" / "0.update").write_bytes(b"made of examples")
            one.token.write_text("token")
    (state.path / "examples-damaged-20260101T000000.sqlite").write_bytes(b"features")
    state.model.write_bytes(b"model")
    return state


def files(state: DeviceFolder) -> set[str]:
    return {str(path.relative_to(state.path)) for path in state.path.rglob("*") if path.is_file()}


def by_the_page(state: DeviceFolder) -> None:
    state.model.unlink()  # it is none, and stays whatever is deleted
    with Device(settings(state)) as device:
        device.delete_everything()


def by_the_command(state: DeviceFolder) -> None:
    with state.taken():
        state.delete_everything()


def by_who_finishes_it(state: DeviceFolder) -> None:
    (state.path / "deleting").touch()
    with state.taken():
        pass


@pytest.mark.parametrize("delete", [by_the_page, by_the_command, by_who_finishes_it])
def test_whoever_takes_the_folder_next_finishes_it(
    filled: DeviceFolder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    delete: Callable[[DeviceFolder], None],
) -> None:
    everything, finished = files(filled) - {"model.safetensors"}, 0
    for step in count():
        state = DeviceFolder(tmp_path / f"killed at {step}")
        shutil.copytree(filled.path, state.path)
        caplog.clear()
        if not killed_at(step, partial(delete, state), os, ("fsync", "unlink", "rmdir")):
            break
        marked = (state.path / "deleting").exists()
        nothing_is_deleted = everything <= files(state)
        state.model.unlink(missing_ok=True)
        with Device(settings(state)) as device:
            counts = device.counts()
        assert any(SAID in message for message in caplog.messages) == marked
        if marked or not nothing_is_deleted:
            finished += marked
            assert files(state) <= KEPT, f"killed at {step}"
            assert sum(counts.values()) == 0
        else:
            assert counts["sad"] == 3
    assert finished > 10
    assert files(state) <= KEPT


def test_commands_that_take_no_folder_finish_it_too(filled: DeviceFolder, tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "other.sqlite", limit_mb=10) as store:
        add_labelled(store, range(2))
    export = ["examples", "export", str(tmp_path / "two.npz"), "--state"]
    (tmp_path / "other").mkdir()
    shutil.move(tmp_path / "other.sqlite", tmp_path / "other" / "examples.sqlite")
    assert CliRunner().invoke(app, [*export, str(tmp_path / "other")]).exit_code == 0
    (filled.path / "deleting").touch()
    words = ["examples", "import", str(tmp_path / "two.npz"), "--state", str(filled.path)]
    assert CliRunner().invoke(app, words).stdout == "2 new examples.\n"
    assert files(filled) <= KEPT
    (filled.path / "deleting").touch()
    words = ["status", "--json", "--state", str(filled.path)]
    filled.model.unlink()
    assert '"utterances": 0' in CliRunner().invoke(app, words).stdout


def test_a_device_that_runs_is_left_alone(filled: DeviceFolder) -> None:
    with filled.taken():
        (filled.path / "deleting").touch()
        filled.finish_deleting()
        assert filled.token.exists()


def test_it_is_not_called_finished_while_a_part_is_in_use(filled: DeviceFolder) -> None:
    (filled.path / "deleting").touch()
    (clips,) = filled.made_of_clips()
    with clips.taken(), pytest.raises(RunError, match=r"is running with .*kitchen"), filled.taken():
        pass
    with filled.taken():
        assert not clips.path.exists()
        assert not (filled.path / "deleting").exists()


def test_what_is_heard_after_a_deletion_that_failed_is_kept(filled: DeviceFolder) -> None:
    filled.model.unlink()
    (clips,) = filled.made_of_clips()
    with Device(settings(filled)) as device:
        with clips.taken(), pytest.raises(RunError, match=r"is running with .*kitchen"):
            device.delete_everything()
        device.correct(hear(device).identifier, "sad")
    with Device(settings(filled)) as device:
        assert device.counts()["sad"] == 1
