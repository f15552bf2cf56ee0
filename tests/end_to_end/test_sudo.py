"""Root's commands in a folder of somebody else: all is theirs, and no link leads root elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.ledger.folder import FederationFolder
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.federation.client_state import ClientState
from tests.aggregator.conftest import tiny
from tests.aggregator.ledger.conftest import Saved, saved
from tests.as_owner import OWNER, command, give, reachable
from tests.edge_client.device.heard import frames, recognised
from tests.edge_client.test_leave import taken_part

__all__ = ["saved", "tiny"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others")


@pytest.fixture
def state() -> Iterator[Path]:
    """Let a device of somebody else's have heard something, and root have left files there."""
    with reachable() as place:
        device = taken_part(place / "state")
        with ExampleStore(device.examples, limit_mb=10) as store:
            store.label(store.add(recognised(), frames(1)), "sad")
        give(device.path, device.examples, device.model)
        assert device.personal.stat().st_uid == device.memberships.stat().st_uid == 0
        yield device.path


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def test_everything_is_deleted(state: Path) -> None:
    done = command("edge-client", "examples", "delete", "--yes", "--state", state)
    assert (done.returncode, done.stdout) == (0, "1 utterances deleted.\n"), done.stderr
    assert not [path for path in state.rglob("*") if "examples" in path.name]
    assert not (state / "personal").exists()
    assert owners(state) == {OWNER}


def test_a_federation_is_left(state: Path) -> None:
    done = command("edge-client", "leave", "--federation", "home", "--yes", "--state", state)
    assert done.returncode == 0, done.stderr
    assert not (state / "memberships" / "home").exists()
    assert owners(state) == {OWNER}


@pytest.mark.parametrize("words", [["status"], ["examples", "list"]])
def test_a_deletion_is_finished(words: list[str], state: Path) -> None:
    secret = state.with_name("secret")
    secret.write_text("root's")
    (state / "deleting").touch()
    (state / "examples-damaged-1.sqlite").symlink_to(secret)
    done = command("edge-client", *words, "--state", state)
    assert done.returncode == 0, done.stderr
    assert not [path for path in state.iterdir() if "examples" in path.name]
    assert secret.read_text() == "root's"
    assert owners(state) == {OWNER}


def test_a_device_that_takes_its_folder_finishes_a_deletion_as_its_owner(state: Path) -> None:
    secret = state.with_name("secret")
    secret.write_text("root's")
    (state / "deleting").touch()
    (state / "examples-damaged-1.sqlite").symlink_to(secret)
    with DeviceFolder(state).taken():
        assert os.geteuid() == 0
    assert secret.read_text() == "root's"
    assert not (state / "deleting").exists()


def test_what_a_device_makes_that_root_runs_is_the_owner_s_at_the_end(state: Path) -> None:
    secret = state.with_name("secret")
    secret.touch()
    folder = DeviceFolder(state)
    with folder.taken():
        (folder.sounds / "a").mkdir(parents=True)
        (folder.sounds / "1.flac").touch()
        ClientState(folder.federations / "chorus").enter("1" * 32)
        (folder.personal / "token").symlink_to(secret)
    assert (folder.federations / "chorus" / "federation.json").stat().st_uid == OWNER
    assert owners(folder.sounds) == owners(folder.federations) == {OWNER}
    assert secret.stat().st_uid == 0


@pytest.mark.usefixtures("tiny")
def test_a_federation_is_put_back(saved: Saved) -> None:
    with reachable() as place:
        folder = FederationFolder(place / "state")
        folder.path.mkdir()
        give(folder.path)
        done = command("aggregator", "restore", saved[1], "--state", folder.path)
        assert done.returncode == 0, done.stderr
        assert folder.ledger.exists()
        assert owners(folder.path) == {OWNER}


@pytest.mark.usefixtures("tiny")
def test_an_owner_who_cannot_reach_the_folder_is_named(saved: Saved, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    give(folder)
    done = command("aggregator", "restore", saved[1], "--state", folder)
    assert done.returncode == 14, done.stderr
    assert f"Cannot write {folder} as its owner, {OWNER}: Permission denied." in done.stderr
    assert not list(folder.iterdir())
