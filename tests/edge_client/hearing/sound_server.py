"""A sound server of the tests' own: PulseAudio with a loudspeaker that is also the microphone.

What is played into the null sink is what PortAudio records from its monitor, through ALSA's
``pulse`` plugin. No sound card is needed, and the user's own sound server is left alone.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from shared.audio import RATE, Samples
from tests.edge_client.hearing.sounds import noise

NEEDED = "apt install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"

ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.pulse { type pulse }
ctl.pulse { type pulse }
pcm.!default { type pulse hint { show on description "the test's sound server" } }
"""


class SoundServer:
    """PulseAudio, in a folder of its own.

    Attributes
    ----------
    environment
        What a process needs to hear and to play through it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "alsa.conf").write_text(ALSA)
        socket = folder / "socket"
        self._start = [
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--system=false"),
            *("--use-pid-file=no", "--disable-shm=yes", "--log-target=stderr"),
            *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={socket}"),
        ]
        self.environment = os.environ | {
            "ALSA_CONFIG_PATH": str(folder / "alsa.conf"),
            "HOME": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_SERVER": f"unix:{socket}",
            "XDG_RUNTIME_DIR": str(folder),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._sink = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server, with the microphone plugged in."""
        (self._folder / "socket").unlink(missing_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._start, env=self.environment, stderr=log)
        # The client library waits for no server that is not there yet.
        for _ in range(100):
            if (self._folder / "socket").exists():
                break
            assert self._process.poll() is None, (self._folder / "log").read_text()
            threading.Event().wait(0.1)
        self.plug()

    def kill(self) -> None:
        """End the server as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def plug(self) -> None:
        """Plug the microphone in."""
        self._sink = self._control("load-module", "module-null-sink", "sink_name=room").strip()
        self._control("set-default-source", "room.monitor")

    def unplug(self) -> None:
        """Unplug it."""
        self._control("unload-module", self._sink)

    def play(self, sound: Samples) -> None:
        """Play 16 kHz mono sound into the microphone, and wait until it is over."""
        import soundfile

        soundfile.write(self._folder / "play.wav", sound, 16_000)
        subprocess.run(
            ["paplay", "--device=room", str(self._folder / "play.wav")],
            env=self.environment,
            check=True,
            timeout=60,
        )

    def _control(self, *arguments: str) -> str:
        return subprocess.run(
            ["pactl", *arguments],
            env=self.environment,
            check=True,
            timeout=30,
            capture_output=True,
            text=True,
        ).stdout


def in_a_room(clip: Samples) -> Samples:
    """Put a clip into the noise of a quiet room, which goes on for a second before and after."""
    sound = noise(len(clip) / RATE + 2, -60)
    sound[RATE : RATE + len(clip)] += clip
    return sound


@pytest.fixture
def sound_server(tmp_path: Path) -> Iterator[SoundServer]:
    """Start a sound server, or skip the test where PulseAudio is not installed."""
    from ctypes.util import find_library

    plugin = next(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"), None)
    there = shutil.which("pulseaudio") and shutil.which("pactl") and find_library("portaudio")
    if not there or plugin is None:
        pytest.skip(f"no sound server to test with: {NEEDED}")
    with SoundServer(tmp_path) as server:
        yield server
