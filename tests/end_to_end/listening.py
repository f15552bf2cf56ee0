"""A recording of real speech, ``edge-client run`` that hears it, and a person at its terminal."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.device.store import ExampleStore
from shared.architectures import architecture_of
from shared.audio import RATE, read_clip
from shared.task import DEFAULT_TASK
from shared.weights import initial_weights, save_weights
from tests.end_to_end.conftest import EDGE_CLIENT

BOUND = 60.0
"""Seconds after which waiting is a failure; a busy machine is slow."""


def clips(speech: Path) -> list[NDArray[np.float32]]:
    """Read four clips of one actor."""
    paths = sorted((speech / "ravdess" / "Actor_01").glob("*.flac"))
    return [read_clip(path) for path in paths[20:24]]


@pytest.fixture(scope="session")
def recording(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write four utterances of real speech, with pauses between them."""
    import soundfile

    rng = np.random.default_rng(0)
    pause = np.float32(1e-4) * rng.standard_normal(RATE, np.float32)
    parts = [part for clip in clips(speech) for part in (pause, clip)]
    path = tmp_path_factory.mktemp("recording") / "four.wav"
    soundfile.write(path, np.concatenate([*parts, pause, pause]), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write weights of ``conv``, fresh: what they say does not matter here."""
    path = tmp_path_factory.mktemp("model") / "conv.safetensors"
    architecture = architecture_of("conv", DEFAULT_TASK)
    save_weights(path, initial_weights(architecture, np.random.default_rng(0)), architecture)
    return path


def command(*arguments: str | Path) -> list[str]:
    """Give the command line of an offline run."""
    return [str(EDGE_CLIENT), "run", "--offline", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=BOUND, check=False
    )


@contextmanager
def running(*arguments: Any, **more: Any) -> "Iterator[subprocess.Popen[Any]]":
    """Run something beside the test, at the test's end at the latest."""
    with subprocess.Popen(*arguments, **more) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def opened(state: Path) -> ExampleStore:
    return ExampleStore(state / "examples.sqlite", limit_mb=100)


class Terminal:
    """A person at a terminal."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str] = os.environ) -> None:
        self.handle, theirs = pty.openpty()
        self.process = subprocess.Popen(
            arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**environment, "TERM": "xterm", "COLUMNS": "150", "LINES": "40"},
        )
        os.close(theirs)
        self.seen = ""

    def until(self, condition: Callable[[], Any]) -> None:
        """Look on until something holds."""
        end = time.monotonic() + BOUND
        while not condition():
            assert time.monotonic() < end, self.seen[-3000:]
            if select.select([self.handle], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.handle, 65536).decode(errors="replace")
                except OSError:  # the other side has been closed
                    return

    def press(self, keys: str) -> None:
        os.write(self.handle, keys.encode())

    def hang_up(self) -> None:
        """Take the terminal away, as who closes its window does."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self.handle)
        os.close(nothing)


def pressed(terminal: Terminal, key: str) -> bool:
    """Press a key again and again: for a moment, something new takes no answer."""
    terminal.press(key)
    return True


@pytest.fixture
def at_terminal() -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(arguments: list[str], environment: Mapping[str, str] = os.environ) -> Terminal:
        started.append(Terminal(arguments, environment))
        return started[-1]

    yield start
    for terminal in started:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.handle)
