"""A microphone without a sound card: speech played into a sound server, PortAudio recording it."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from shared.audio import RATE, Samples, read_clip
from tests.edge_client.hearing.sound_server import SoundServer, in_a_room, sound_server
from tests.end_to_end.listening import running

__all__ = ["sound_server"]

PATIENCE = 60
"""Seconds after which something that should happen has not happened."""

DEVICES = "import typer; from edge_client.commands.devices import devices; typer.run(devices)"


class Listener:
    """The process that listens, and what it says."""

    def __init__(self, lines: IO[str], folder: Path) -> None:
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._folder = folder
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._said.put(json.loads(line))
        self._said.put({"kind": "ended"})

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Wait until it says something of this kind; overruns may come between."""
        while True:
            said = self._said.get(timeout=PATIENCE)
            if said["kind"] == kind:
                return said
            assert said["kind"] == "overrun", f"{said} instead of {kind}"

    def utterance(self) -> Samples:
        """Wait for an utterance."""
        number = self.wait_for("utterance")["number"]
        samples: Samples = np.load(self._folder / f"{number}.npy")
        return samples


@pytest.fixture
def listener(sound_server: SoundServer, tmp_path: Path) -> Iterator[Listener]:
    with running(
        [sys.executable, "-m", "tests.edge_client.hearing.listen", str(tmp_path), "pulse"],
        env=sound_server.environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Listener(process.stdout, tmp_path)


def likeness(heard: Samples, played: Samples) -> float:
    """Compute the largest correlation of what was played with what was heard, at any delay."""
    size = 1 << (len(heard) + len(played)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size))
    peak = np.fft.irfft(product, size).max()
    return float(peak / np.sqrt(np.sum(heard**2) * np.sum(played**2)))


def test_speech_is_heard_through_unplugging_and_a_crash(
    sound_server: SoundServer, listener: Listener, speech: Path
) -> None:
    clips = [
        speech / "ravdess" / "Actor_13" / "03-01-05-01-01-01-13.flac",
        speech / "ravdess" / "Actor_14" / "03-01-03-01-02-01-14.flac",
        speech / "emodb" / "03a01Wa.flac",
    ]

    def unplugged() -> None:
        sound_server.unplug()
        listener.wait_for("lost")
        sound_server.plug()

    def crashed() -> None:
        sound_server.kill()
        listener.wait_for("lost")
        sound_server.start()

    for clip, then in zip(clips, (unplugged, crashed, None), strict=True):
        listener.wait_for("connected")
        listener.wait_for("hearing")
        sound_server.play(in_a_room(read_clip(clip)))
        heard = listener.utterance()
        assert likeness(heard, read_clip(clip)) > 0.8
        assert len(heard) / RATE < 6
        if then is not None:
            then()


def test_devices_are_listed(sound_server: SoundServer) -> None:
    def devices(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", DEVICES, *options],
            env=sound_server.environment,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    listed = json.loads(devices("--json").stdout)
    assert {device["name"] for device in listed} == {"pulse", "default"}
    assert [device["name"] for device in listed if device["default"]] == ["default"]
    shown = devices()
    assert shown.stderr == ""
    assert [line[0] for line in shown.stdout.splitlines()] == [" ", "*"]
    sound_server.kill()
    gone = devices()
    assert "This machine has no microphone." in gone.stderr
    assert gone.stdout == ""
