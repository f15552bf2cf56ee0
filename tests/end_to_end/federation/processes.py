"""A federation of real processes through a real broker, and the simulation of the same."""

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import soundfile

from aggregator.ledger import History
from aggregator.state_folder import StateFolder
from edge_client.simulation.data import load_utterances, prepare
from edge_client.simulation.federation import Federation as Simulation
from edge_client.simulation.federation import client_name
from edge_client.simulation.settings import SimulationSettings
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import ARCHITECTURES
from shared.corpora import load_corpus
from shared.errors import ChorusError
from shared.randomness import stream
from shared.weights import Weights, initial_weights, load_weights

BIN = Path(sys.executable).parent
SPEAKERS, EACH = 3, 8
"""One speaker is the simulation's test; each of the others has a device."""

DEVICES = SPEAKERS - 1
ROUNDS = 2

PATIENCE = 300.0
"""Seconds after which waiting is a failure: processes start slowly on a busy machine."""


@dataclass(frozen=True)
class Clips:
    """A corpus of few clips.

    Attributes
    ----------
    whole
        The manifest of all speakers, for the simulation.
    devices
        A manifest for each device, in the order of the simulation's clients.
    """

    whole: Path
    devices: tuple[Path, ...]

    @classmethod
    def write(cls, folder: Path) -> "Clips":
        clips = load_corpus("synthetic", speakers=SPEAKERS, clips_per_speaker=EACH).clips
        rows = []
        for number, clip in enumerate(clips):
            soundfile.write(folder / f"{number:02}.wav", clip.read(), 16_000)
            rows.append([f"{number:02}.wav", str(clip.emotion), clip.speaker])
        whole = _manifest(folder / "whole.csv", rows)
        places = _clients(whole)
        files = [
            _manifest(folder / f"{client_name(number)}.csv", [rows[place] for place in places])
            for number, places in enumerate(places)
        ]
        return cls(whole, tuple(files))


def _manifest(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    return path


def _settings(whole: Path, **values: Any) -> SimulationSettings:
    return SimulationSettings.parse(
        {
            "corpus": "manifest",
            "data": whole,
            "partition": "speaker",
            "folds": SPEAKERS,
            "validation": False,
            "engine": "tflite",
            "rounds": ROUNDS,
            **values,
        }
    )


def _clients(whole: Path) -> list[list[int]]:
    settings = _settings(whole)
    clients = prepare(load_utterances(settings), settings).clients
    return [[int(index) for index in place] for place in clients.places]


@cache
def simulated(whole: Path, model: str = "conv", strategy: str = "fedavg") -> Weights:
    """Give the weights that the simulation of the same federation ends in."""
    settings = _settings(whole, model=model, strategy=strategy)
    clients = prepare(load_utterances(settings), settings).clients
    architecture = ARCHITECTURES[settings.model]
    simulation = Simulation(settings, [TfliteEngine(architecture, threads=1)], clients)
    weights = initial_weights(architecture, stream(settings.seed, "initial weights"))
    for number in range(1, ROUNDS + 1):
        weights = simulation.run(number, weights).weights
    return weights


class Process:
    """A command in a process of its own; what it says goes to a file.

    Parameters
    ----------
    log
        The file.
    command
        What to run.
    """

    def __init__(self, log: Path, *command: str | Path) -> None:
        self.log = log
        with log.open("a") as file:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdout=file, stderr=file
            )
        self._from = 0

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        self._process.wait()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def said(self, words: str) -> int:
        """Count how often it, or one before it, has said something."""
        return self.log.read_text().count(words)


class Processes(ExitStack):
    """The processes of one federation.

    Parameters
    ----------
    folder
        Where their state and logs are.
    clips
        What devices train on.
    model
        The architecture.
    more
        Further words for ``aggregator serve``.
    """

    def __init__(self, folder: Path, clips: Clips, model: str = "conv", *more: str) -> None:
        super().__init__()
        self.folder = folder
        self.clips = clips
        self.model = model
        self.more = more
        self.state = StateFolder(folder / "aggregator")
        self.aggregator: Process | None = None
        self.devices: dict[int, Process] = {}

    def serve(self, port: int) -> Process:
        """Start the aggregator."""
        words = f"serve --rounds {ROUNDS} --quorum {DEVICES} --model {self.model} --port {port}"
        log = self.folder / "aggregator.log"
        self.aggregator = self._start(
            log, BIN / "aggregator", *words.split(), "--state", self.state.path, *self.more
        )
        return self.aggregator

    def run(self, number: int, port: int, threads: int = 1) -> Process:
        """Start a device."""
        name = client_name(number)
        words = f"run --client {name} --port {port} --holdout 0 --threads {threads}"
        self.devices[number] = self._start(
            self.folder / f"{name}.log",
            BIN / "edge-client",
            *words.split(),
            "--wav",
            self.clips.devices[number],
            "--state",
            self.folder / name,
        )
        return self.devices[number]

    def _start(self, log: Path, *command: str | Path) -> Process:
        process = Process(log, *command)
        self.callback(process.kill)
        return process

    def read(self, what: Callable[[History], Any]) -> Any:
        """Read the ledger, beside the aggregator; ``None`` while there is none."""
        if not self.state.ledger.exists():
            return None
        try:
            with History(self.state.ledger) as history:
                return what(history)
        except (ChorusError, OSError):
            return None  # it is being made

    def reached(self, number: int, *states: str) -> bool:
        """Say whether a round is in one of these states."""
        record = self.read(lambda history: history.round(number))
        return record is not None and record.state in states

    def counted(self, number: int) -> int:
        """Count a round's accepted updates."""
        return len(self.read(lambda history: history.updates(number)) or ())

    def uploading(self) -> bool:
        """Say whether part of an update has arrived."""
        return any(path.stat().st_size for path in self._parts())

    def _parts(self) -> Sequence[Path]:
        return list(self.state.uploads.glob("*.part")) if self.state.uploads.exists() else []

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait on a condition, bounded, while all processes are there."""
        end = time.monotonic() + PATIENCE
        while not condition():
            logs = "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))
            assert time.monotonic() < end, f"still not: {what}\n{logs}"
            time.sleep(0.005)

    def finish(self, expected: Weights) -> None:
        """Wait for the end; check that each update counted once, and the result."""
        self.wait(lambda: self.reached(ROUNDS, "done"), f"round {ROUNDS} is done")
        for number in range(1, ROUNDS + 1):
            assert self.reached(number, "done")
            assert self.counted(number) == DEVICES
        current = self.read(lambda history: history.current())
        path = self.state.models / f"{current.digest}.safetensors"
        weights = load_weights(path, ARCHITECTURES[self.model])  # type: ignore[index] # a name
        assert weights.tobytes() == expected.tobytes()
