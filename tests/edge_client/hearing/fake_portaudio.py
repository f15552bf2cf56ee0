"""A stand-in for sounddevice: what no test machine has on demand, such as a busy microphone."""

import sys
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


class PortAudioError(Exception):
    """As sounddevice raises it: a sentence, PortAudio's code, the host's code and words."""


@dataclass
class FakePortAudio:
    """Devices that can be taken away, and streams whose sound the test gives."""

    devices: list[dict[str, Any]] = field(default_factory=list)
    default_input: int = -1
    refusal: PortAudioError | None = None
    restarts: int = 0
    broken: bool = False
    stream: "FakeStream | None" = None
    opened: threading.Event = field(default_factory=threading.Event)
    on_restart: "Callable[[], object]" = lambda: None

    def plug(self, name: str, channels: int = 1, rate: float = 16_000) -> None:
        self.devices.append(
            {
                "index": len(self.devices),
                "name": name,
                "hostapi": 0,
                "max_input_channels": channels,
                "default_samplerate": rate,
            }
        )

    def query(self) -> list[dict[str, Any]]:
        if self.broken:
            raise PortAudioError("PortAudio not initialized", -10000)
        return self.devices

    def open(self, **options: Any) -> "FakeStream":
        if self.refusal is not None:
            raise self.refusal
        self.stream = FakeStream(self.opened, **options)
        return self.stream

    def restart(self) -> None:
        self.restarts += 1
        self.on_restart()


class FakeStream:
    """A stream that gives what it is told to, until it is told to end."""

    def __init__(self, opened: threading.Event, **options: Any) -> None:
        self.options = options
        self.samplerate = options["samplerate"]
        self.active = True
        self.closed = False
        self._opened = opened

    def start(self) -> None:
        self._opened.set()

    def give(self, pieces: int = 1, value: float = 0.5, *, overflow: bool = False) -> None:
        callback: Callable[..., None] = self.options["callback"]
        shape = (self.options["blocksize"], self.options["channels"])
        ramp = np.linspace(1, 0, self.options["channels"], endpoint=False)
        for _ in range(pieces):
            piece = np.full(shape, value, np.float32) * ramp.astype(np.float32)
            callback(piece, len(piece), None, SimpleNamespace(input_overflow=overflow))

    def close(self) -> None:
        self.active, self.closed = False, True


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    """Put the stand-in in the place of sounddevice."""
    fake = FakePortAudio()
    module = SimpleNamespace(
        PortAudioError=PortAudioError,
        InputStream=fake.open,
        query_devices=fake.query,
        query_hostapis=lambda: [{"name": "ALSA"}],
        default=SimpleNamespace(device=(fake.default_input, -1)),
        _terminate=lambda: None,
        _initialize=fake.restart,
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return fake
