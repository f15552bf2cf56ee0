"""What a device keeps: ``edge-client examples`` and ``status``, beside it and without it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_client.device import archive
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from tests.disk import mounted
from tests.edge_client.device.heard import frames, recognised
from tests.end_to_end.conftest import Command
from tests.end_to_end.listening import (
    Terminal,
    at_terminal,
    command,
    model,
    opened,
    recording,
    run,
    state,
)

__all__ = ["at_terminal", "model", "recording", "state"]

pytestmark = pytest.mark.usefixtures("environment")


def test_what_is_imported_beside_it_is_learned_from(
    recording: Path,
    model: Path,
    state: Path,
    tmp_path: Path,
    edge_client: Command,
    at_terminal: Callable[..., Terminal],
) -> None:
    with ExampleStore(tmp_path / "other.sqlite", limit_mb=10) as store:
        for seed in range(3):
            store.label(store.add(recognised(), frames(seed)), "sad")
        archive.export(store, tmp_path / "three.npz")
    terminal = at_terminal(
        command("--wav", recording, "--fast", "--weights", model, "--state", state)
    )
    terminal.until(lambda: "unlabelled 4" in terminal.seen)
    assert edge_client("examples", "import", tmp_path / "three.npz", "--state", state).code == 0
    terminal.until(lambda: "adapted to 3 of your answers" in terminal.seen)
    terminal.press("q")


@pytest.mark.parametrize("damage", ["torn", "foreign", "unreadable"])
def test_deleting_needs_no_store_that_can_be_opened(
    recording: Path, model: Path, state: Path, edge_client: Command, damage: str
) -> None:
    run("--wav", recording, "--fast", "--headless", "--weights", model, "--state", state)
    clips = DeviceFolder(state / "clips" / "pi-mine")
    with clips.taken():
        (clips.federations / "chorus").mkdir(parents=True)
        (clips.federations / "chorus" / "0.update").write_bytes(b"made of clips")
    with opened(state) as store:
        store.label(1, "sad")
        features = [one[:10].tobytes() for one in store.everything().features]
        if damage == "foreign":
            store._database.connection.execute("PRAGMA user_version = 99")
    path = state / "examples.sqlite"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "unreadable":
        path.write_bytes(b"somebody's letter " * 1000)
    (state / "examples-damaged-20260101T000000.sqlite").write_bytes(features[0])
    with path.open("rb") as still_open:
        done = edge_client("examples", "delete", "--yes", "--json", "--state", state)
        assert not still_open.read().strip(b"\0"), "it is overwritten before it is removed"
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"deleted": None}
    left = {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()}
    assert left == {"lock", "model.safetensors"}
    assert not clips.path.exists()


def test_deleting_leaves_alone_what_only_has_the_name_of_ours(
    tmp_path: Path, edge_client: Command
) -> None:
    """Whoever names the wrong folder keeps their own clips, and may still enter it."""
    mine = tmp_path / "clips" / "angry" / "1.wav"
    mine.parent.mkdir(parents=True)
    mine.touch()
    tmp_path.chmod(0o755)
    assert edge_client("examples", "delete", "--yes", "--state", tmp_path).code == 0
    assert mine.exists()
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_settings_file_of_run_says_where_the_state_is(
    state: Path, tmp_path: Path, edge_client: Command
) -> None:
    with ExampleStore(state / "examples.sqlite", limit_mb=10) as store:
        store.add(recognised(), frames(1))
        store._database.connection.execute("UPDATE examples SET seconds = 9e999")
    clips = DeviceFolder(state / "clips" / "pi-mine")
    with clips.taken():
        (clips.federations / "chorus").mkdir(parents=True)
    config = tmp_path / "device.toml"
    config.write_text(f'mic = true\nweb = "0.0.0.0:8765"\nstate = "{state}"\n')
    listed = edge_client("examples", "list", "--json", "--config", config).out
    assert "Infinity" not in listed
    assert [one["seconds"] for one in json.loads(listed)["examples"]] == [None]
    told = json.loads(edge_client("status", "--json", "--config", config).out)
    assert (told["utterances"], told["clips"]["pi-mine"]["chorus"]["accepted"]) == (1, 0)
    assert "clips as pi-mine, federation chorus" in edge_client("status", "--config", config).out


def test_examples_are_listed_exported_imported_and_deleted(
    recording: Path, model: Path, state: Path, tmp_path: Path, edge_client: Command
) -> None:
    assert edge_client("examples", "list", "--state", state).out.startswith("0 utterances")
    assert not state.exists(), "looking makes nothing"
    assert edge_client("examples", "export", "all.npz", "--state", state).code == 10
    run("--wav", recording, "--fast", "--headless", "--weights", model, "--state", state)
    with opened(state) as store:
        store.label(2, "angry")
        before = store.everything()
    assert "2" in edge_client("examples", "list", "--state", state).out
    out = tmp_path / "all.npz"
    assert edge_client("examples", "export", out, "--state", state).code == 0
    refused = edge_client("examples", "import", recording, "--state", state)
    assert refused.code == 10
    assert "does not hold examples" in refused.err
    other = tmp_path / "other"
    for new in ("4", "0"):
        assert edge_client("examples", "import", out, "--state", other).out.startswith(new)
    with opened(other) as store:
        after = store.everything()
        assert np.array_equal(after.features, before.features)
        assert [known.label for known in after.recognitions] == [None, "angry", None, None]
        assert {known.source for known in after.recognitions} == {"import"}
        assert after.recognitions[0].heard_at == before.recognitions[0].heard_at
    asked = subprocess.run(
        [*command()[:1], "examples", "delete", "--state", str(state)],
        input="n\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1
    with opened(state) as store:
        assert len(store.recent(9)) == 4
    deleted = edge_client("examples", "delete", "--yes", "--json", "--state", state)
    assert json.loads(deleted.out) == {"deleted": 4}
    assert not (state / "examples.sqlite").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 8.2 MB: a model, and hardly any utterance."""
    with mounted(tmp_path / "small", "size=8200k") as disk:
        yield disk


def fill(disk: Path) -> None:
    """Leave two blocks."""
    room = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes((room.f_bavail - 2) * room.f_frsize))


def test_a_full_disk_is_said_and_listening_goes_on(
    recording: Path, model: Path, small_disk: Path, edge_client: Command
) -> None:
    state = small_disk / "state"
    line: list[str | Path] = ["--wav", recording, "--fast", "--headless", "--state", state]
    assert run(*line, "--weights", model).returncode == 0
    fill(small_disk)
    done = run(*line)
    assert "Traceback" not in done.stderr
    if done.returncode == 0:  # SQLite could open the file, but not add to it
        assert [json.loads(one)["identifier"] for one in done.stdout.splitlines()][-1] < 0
        assert all(json.loads(one)["emotion"] for one in done.stdout.splitlines())
    else:
        assert done.returncode == 14
    assert "disk is full" in " ".join(done.stderr.split())
    exported = edge_client("examples", "export", small_disk / "all.npz", "--state", state)
    assert exported.code == 14
    assert "disk is full" in exported.err
    assert "Traceback" not in exported.err
    assert {path.name for path in small_disk.iterdir()} == {"filler", "state"}
    (small_disk / "filler").unlink()
    with opened(state) as store:
        assert [known.identifier for known in store.recent(9)][-4:] == [4, 3, 2, 1]
    assert not list(state.glob("*damaged*")), "a full disk is no damage"
    assert json.loads(run(*line).stdout.splitlines()[-1])["identifier"] > 0
    fill(small_disk)
    assert edge_client("examples", "delete", "--yes", "--state", state).code == 0
    assert {path.name for path in state.iterdir()} == {"lock", "model.safetensors"}
