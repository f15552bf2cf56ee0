"""A device that goes on for ever waits for room on a full disk, and says so once."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edge_client.device.beginning import earlier_task
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.run import opened, when_there_is_room
from edge_client.settings import RunSettings
from shared.errors import RunError, StorageError
from shared.task import DEFAULT_TASK
from tests.disk import mounted
from tests.edge_client.device.heard import frames, recognised

SIZE = 1 << 19


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of half a megabyte that is nearly full."""
    with mounted(tmp_path / "disk", f"size={SIZE}") as disk:
        (disk / "filler").write_bytes(bytes(SIZE - 4096))
        yield disk


def test_a_microphone_waits_for_room(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    filler, waited = small_disk / "filler", []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        os.truncate(filler, max(0, SIZE - 4096 - 24_576 * len(waited)))
        assert len(waited) < 60

    with opened(RunSettings(mic=True, state=small_disk / "state"), sleep) as device:
        assert device.counts()["unlabelled"] == 0
    assert len(waited) > 1
    (said,) = [message for message in caplog.messages if "disk is full" in message]
    assert "it goes on by itself" in said


def test_labelled_clips_wait_for_room_as_they_take_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mounted(tmp_path / "disk", f"size={SIZE},nr_inodes=2") as disk:
        waited = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            mount = ["mount", "-o", "remount,nr_inodes=100", str(disk)]
            subprocess.run(mount, check=True)

        (disk / "state").mkdir()
        with ExitStack() as stack:
            state = DeviceFolder(disk / "state")
            when_there_is_room(lambda: stack.enter_context(state.taken()), sleep)
            with pytest.raises(RunError, match="Another edge-client"), state.taken():
                pass
        assert len(waited) == 1
    (said,) = caplog.messages
    assert said.startswith("The disk is full while writing")
    assert said.endswith("Free some space: it goes on by itself.")


def test_a_recording_does_not_wait(small_disk: Path) -> None:
    settings = RunSettings(wav=Path("a.wav"), state=small_disk / "state")
    with pytest.raises(StorageError, match="disk is full"):
        opened(settings, lambda _: pytest.fail("it waits"))


def test_what_a_folder_was_used_with_is_known_on_a_full_disk_too(small_disk: Path) -> None:
    filler, state = small_disk / "filler", DeviceFolder(small_disk / "state")
    os.truncate(filler, 0)
    with ExampleStore(state.examples, limit_mb=10) as store:
        store.remember_task()
        store.add(recognised(), frames(0))
    with suppress(OSError), filler.open("ab") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    assert earlier_task(state) == DEFAULT_TASK
    assert RunSettings(mic=True, state=state.path).begun().front_end == "paper34"
