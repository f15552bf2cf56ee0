"""A device that is to hear a microphone waits for room on a full disk, and says so once."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_client.run import opened
from edge_client.settings import RunSettings
from shared.errors import StorageError

SIZE = 1 << 19


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of half a megabyte; only root may."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    mounts = not os.geteuid() and shutil.which("mount")
    if not mounts or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    (disk / "filler").write_bytes(bytes(SIZE - 4096))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


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


def test_a_recording_does_not_wait(small_disk: Path) -> None:
    settings = RunSettings(wav=Path("a.wav"), state=small_disk / "state")
    with pytest.raises(StorageError, match="disk is full"):
        opened(settings, lambda _: pytest.fail("it waits"))
