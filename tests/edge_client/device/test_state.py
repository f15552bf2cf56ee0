"""The state folder is its owner's alone, whoever made it first."""

import os
import signal
from pathlib import Path

import pytest

from edge_client import run
from edge_client.device.device import Device
from edge_client.device.normalised import mark_of
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder, each
from edge_client.settings import RunSettings
from shared.errors import RunError, StorageError
from shared.starter import beside
from shared.storage.files import replacing
from tests.killing import killed


def modes(*paths: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in paths]


def test_labelled_clips_make_a_state_folder_that_is_as_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    monkeypatch.setattr(
        "edge_client.federation.taking_part.take_part_with_clips",
        lambda _, __, folder, **___: taken.append(folder),
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    clips = tmp_path / "clips"
    clips.mkdir()
    run.run_device(RunSettings(wav=clips, client="pi"))
    state = tmp_path / "chorus"
    assert taken == [state / "clips" / "pi" / "personal" / "federations" / "chorus"]
    made = state / "clips" / "pi"
    assert modes(state, made, made / "personal") == [0o700] * 3
    assert [one.path for one in DeviceFolder(state).made_of_clips()] == [made]


def test_a_folder_made_before_is_closed_if_it_holds_nothing_else(tmp_path: Path) -> None:
    for name, content, mode in (
        ("empty", None, 0o700),
        ("state", "examples.sqlite", 0o700),
        ("house", "letter", 0o755),
    ):
        folder = tmp_path / name
        folder.mkdir()
        folder.chmod(0o755)
        if content:
            (folder / content).touch()
        with DeviceFolder(folder).taken():
            assert modes(folder, folder / "personal") == [mode, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others")
def test_what_root_makes_in_it_is_its_owners(tmp_path: Path) -> None:
    state = DeviceFolder(tmp_path)
    os.chown(tmp_path, 54_321, 54_322)
    with state.taken():
        state.delete_everything()
    state.make()
    found = state.personal.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (54_321, 54_322, 0o700)


def test_it_is_taken_once(tmp_path: Path) -> None:
    state = DeviceFolder(tmp_path / "state")
    assert not state.runs
    assert not state.path.exists(), "who looks makes nothing"
    with state.taken(), pytest.raises(RunError, match="Another edge-client"), state.taken():
        pass
    with state.taken():
        assert state.runs
    assert not state.runs


def test_each_step_is_taken_and_the_first_error_raised() -> None:
    taken: list[str] = []

    def fail(what: str) -> None:
        taken.append(what)
        raise StorageError(what)

    with pytest.raises(StorageError, match="first"):
        each(lambda: fail("first"), lambda: taken.append("second"), lambda: fail("third"))
    assert taken == ["first", "second", "third"]


def killed_while_replacing(path: Path) -> None:
    def replace() -> None:
        # As whoever writes a model and what belongs to it, each by what replaces a single file.
        with replacing(path) as aside, replacing(aside) as within:
            within.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(replace)


@pytest.fixture
def littered(tmp_path: Path) -> DeviceFolder:
    """Leave what a kill leaves beside each file of the folder that is replaced as a whole."""
    state = DeviceFolder(tmp_path / "state")
    Device(DeviceSettings(state=state.path)).close()
    voice, prior = beside(state.model, "voice"), beside(state.model, "prior")
    for path in (state.model, voice, prior, mark_of(state.model), state.token):
        killed_while_replacing(path)
    (state.path / ".mine").touch()
    assert len(hidden(state)) == 11
    return state


def hidden(state: DeviceFolder) -> list[str]:
    return [path.name for path in state.path.rglob(".*")]


def test_what_killed_processes_left_is_gone_at_the_next_start(littered: DeviceFolder) -> None:
    Device(DeviceSettings(state=littered.path)).close()
    assert hidden(littered) == [".mine"]


def test_what_killed_processes_left_is_deleted_with_everything(littered: DeviceFolder) -> None:
    with littered.taken():
        littered.delete_everything()
    assert hidden(littered) == [".mine"]
