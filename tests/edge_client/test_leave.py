"""A device leaves a federation: what goes, what stays, what is said."""

import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_client.cli import app
from edge_client.device.state import DeviceFolder
from edge_client.federation.sent import Sent
from edge_client.leave import leave
from shared.errors import FederationError, RunError, StorageError
from tests.as_owner import give, reachable
from tests.edge_client.federation.test_sent import offer


def taken_part(folder: Path) -> DeviceFolder:
    """Make the state of a device that has sent two updates, and one of labelled clips beside it."""
    device = DeviceFolder(folder)
    for one in (device, DeviceFolder(device.clips / "kitchen-clips")):
        with one.taken():
            part = one.federations / "home"
            part.mkdir(parents=True)
            Sent(part).note(offer(1))
    (device.memberships / "home").mkdir(parents=True)
    (device.memberships / "home" / "key.pem").write_text("secret")
    device.model.write_bytes(b"model")
    return device


def test_what_is_kept_of_the_federation_goes_and_the_rest_stays(tmp_path: Path) -> None:
    device = taken_part(tmp_path)
    (device.federations / "work").mkdir()
    left = leave("home", tmp_path, None)
    assert (left.federation, left.updates, left.bytes, left.config) == ("home", 2, 2002, None)
    assert [each.name for each in device.federations.iterdir()] == ["work"]
    assert not (device.memberships / "home").exists()
    assert not list(tmp_path.rglob("key.pem"))
    assert device.model.exists()
    with pytest.raises(FederationError, match="takes part in no federation home"):
        leave("home", tmp_path, None)


def test_what_a_killed_join_has_left_goes_too(tmp_path: Path) -> None:
    device = taken_part(tmp_path)
    for name in (".home", ".home.before"):
        (device.memberships / name).mkdir()
        (device.memberships / name / "key.pem").write_text("secret")
    leave("home", tmp_path, None)
    assert [path.name for path in device.memberships.iterdir()] == ["lock"]
    (device.memberships / ".home").mkdir()
    leave("home", tmp_path, None)
    assert [path.name for path in device.memberships.iterdir()] == ["lock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others")
def test_a_link_in_the_folder_of_somebody_else_lets_root_remove_nothing_elsewhere() -> None:
    with reachable() as place:
        state, elsewhere = place / "state", place / "elsewhere"
        (elsewhere / "home").mkdir(parents=True)
        (elsewhere / "lock").touch()
        device = taken_part(state)
        shutil.rmtree(device.memberships)
        device.memberships.symlink_to(elsewhere)
        give(state, *state.rglob("*"))
        with pytest.raises(StorageError, match="Permission denied"):
            leave("home", state, None)
        assert (elsewhere / "home").exists()


@pytest.mark.parametrize("damaged", ["the device's", "that of its clips"])
def test_a_damaged_list_of_what_was_sent_keeps_nobody(tmp_path: Path, damaged: str) -> None:
    device = taken_part(tmp_path)
    one = device if damaged == "the device's" else device.made_of_clips()[0]
    (one.federations / "home" / "sent.json").write_text("{")
    words = ["leave", "--federation", "home", "--state", str(tmp_path), "--yes"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0
    assert "is unknown: the list of them was damaged" in said.stdout
    assert not (device.memberships / "home").exists()
    assert not (one.federations / "home").exists()
    taken_part(tmp_path)
    (one.federations / "home" / "sent.json").write_text("{")
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["updates"] is None


@pytest.mark.parametrize("name", ["", ".", "..", "../../photos", "{}/photos", "home/.", "home\n"])
def test_what_is_no_name_removes_nothing(tmp_path: Path, name: str) -> None:
    device = taken_part(tmp_path / "state")
    (tmp_path / "photos").mkdir()
    kept = set(tmp_path.rglob("*"))
    name = name.format(tmp_path)
    with pytest.raises(FederationError, match="takes part in no federation"):
        leave(name, device.path, None)
    config = device.path / "edge-client.toml"
    config.write_text(f"federation = {json.dumps(name)}\n")
    with pytest.raises(FederationError, match="takes part in no federation"):
        leave(None, device.path, None)
    assert set(tmp_path.rglob("*")) == kept | {config}


def test_the_settings_say_that_it_is_offline_from_now_on(tmp_path: Path) -> None:
    taken_part(tmp_path)
    config = tmp_path / "edge-client.toml"
    config.write_text(
        'federation = "home"\nclient = "kitchen"\nspeaker = "anna"\n[broker]\nhost = "hub"\n'
    )
    assert leave(None, tmp_path, None).config == config
    assert tomllib.loads(config.read_text()) == {"speaker": "anna", "offline": True}


def test_settings_of_another_federation_stay(tmp_path: Path) -> None:
    taken_part(tmp_path)
    config = tmp_path / "edge-client.toml"
    config.write_text('federation = "work"\n')
    assert leave("home", tmp_path, None).config is None
    assert config.read_text() == 'federation = "work"\n'


def test_a_device_that_runs_is_ended_first(tmp_path: Path) -> None:
    device = taken_part(tmp_path)
    with device.taken(), pytest.raises(RunError, match="Another edge-client is running") as caught:
        leave("home", tmp_path, None)
    assert "End it first" in caught.value.remedy
    assert (device.memberships / "home" / "key.pem").exists()


def test_a_device_that_is_about_to_join_does_so_first(tmp_path: Path) -> None:
    device = taken_part(tmp_path)
    with device.memberships_taken(), pytest.raises(RunError, match="`leave` is running"):
        leave("home", tmp_path, None)
    assert (device.memberships / "home" / "key.pem").exists()


def test_the_command_says_what_cannot_be_called_back(tmp_path: Path) -> None:
    taken_part(tmp_path)
    words = ["leave", "--federation", "home", "--state", str(tmp_path)]
    refused = CliRunner().invoke(app, words, input="n\n")
    assert refused.exit_code == 1
    assert (tmp_path / "memberships" / "home").exists()
    said = CliRunner().invoke(app, words, input="y\n")
    assert said.exit_code == 0
    assert "It had sent 2 updates, 2,002 bytes. They cannot be called back" in said.stdout
    taken_part(tmp_path / "other")
    told = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "other"), "--yes", "--json"])
    assert json.loads(told.stdout)["bytes"] == 2002
