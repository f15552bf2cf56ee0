"""A federation of real processes through a real broker, and the simulation of the same."""

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import soundfile

from aggregator.ledger import History
from aggregator.ledger.folder import FederationFolder
from aggregator.strategies import Update
from aggregator.strategies.settings import strategy_of
from edge_client.device.state import DeviceFolder
from edge_client.federation.client_state import remembered
from edge_client.simulation.data import prepare
from edge_client.simulation.federation import SimulatedFederation as Simulation
from edge_client.simulation.federation import client_name
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import load_utterances
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import architecture_of
from shared.corpora import load_corpus
from shared.errors import ChorusError
from shared.randomness import stream
from shared.starter import STARTER_TASK
from shared.task import DEFAULT_TASK, Task, options_for
from shared.weights import Weights, initial_weights, load_weights
from tests.aggregator.driver import UNPACED
from tests.brokers import peak_memory

BIN = Path(sys.executable).parent
STAND_STILL = Path(__file__).with_name("stand_still.py")
HURRIED = Path(__file__).with_name("hurried.py")
SPEAKERS, EACH = 3, 8
"""One speaker is the simulation's test; each of the others has a device."""

DEVICES = SPEAKERS - 1

MORE_SPEAKERS = 5
"""Where a federation needs more devices: four of them."""

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
    task
        What they are clips of.
    """

    whole: Path
    devices: tuple[Path, ...]
    task: Task = DEFAULT_TASK

    @classmethod
    def write(cls, folder: Path, task: Task = DEFAULT_TASK, speakers: int = SPEAKERS) -> "Clips":
        clips = load_corpus(
            "synthetic", None, task, speakers=speakers, clips_per_speaker=EACH
        ).clips
        rows = []
        for number, clip in enumerate(clips):
            soundfile.write(folder / f"{number:02}.wav", clip.read(), 16_000)
            rows.append([f"{number:02}.wav", str(clip.label), clip.speaker])
        whole = _manifest(folder / "whole.csv", rows)
        places = _clients(whole, task, speakers)
        files = [
            _manifest(folder / f"{client_name(number)}.csv", [rows[place] for place in places])
            for number, places in enumerate(places)
        ]
        return cls(whole, tuple(files), task)

    @property
    def options(self) -> list[str]:
        """The options that say what they are clips of."""
        return options_for(self.task, STARTER_TASK).split()


def _manifest(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "emotion", "speaker"], *rows])
    return path


def _settings(whole: Path, task: Task, **values: Any) -> SimulationSettings:
    return SimulationSettings.parse(
        {
            "corpus": "manifest",
            "data": whole,
            "labels": task.names,
            "front_end": task.front_end.name,
            "model": {1: "head", 1000: "tdnn"}.get(task.front_end.frames, "conv"),
            "partition": "speaker",
            "folds": SPEAKERS,
            "validation": False,
            "engine": "tflite",
            "rounds": ROUNDS,
            **values,
        }
    )


def _clients(whole: Path, task: Task, speakers: int) -> list[list[int]]:
    settings = _settings(whole, task, folds=speakers)
    clients = prepare(load_utterances(settings), settings).clients
    return [[int(index) for index in place] for place in clients.places]


@cache
def simulated(
    whole: Path,
    model: str = "conv",
    strategy: str = "fedavg",
    codec: str = "float32",
    devices: int = DEVICES,
    task: Task = DEFAULT_TASK,
    rounds: int = ROUNDS,
    download: str = "none",
) -> Weights:
    """Give the weights that the simulation of the same federation ends in."""
    settings = _settings(
        whole, task, model=model, strategy=strategy, codec=codec, download_codec=download
    )
    clients = prepare(load_utterances(settings), settings).clients[:devices]
    architecture = architecture_of(settings.model, task)
    simulation = Simulation(settings, [TfliteEngine(architecture, threads=1)], clients)
    weights = initial_weights(architecture, stream(settings.seed, "initial weights"))
    for number in range(1, rounds + 1):
        weights = simulation.run(number, weights).weights
    return weights


def simulated_securely(whole: Path, task: Task, rounds: Sequence[Sequence[int]]) -> Weights:
    """Give the weights after secure rounds, each with the updates of these devices.

    Parameters
    ----------
    whole
        The manifest of all speakers.
    task
        What they are clips of.
    rounds
        Numbers of the devices whose updates are in each round's sum.
    """
    settings = _settings(whole, task, secure=True, folds=MORE_SPEAKERS, rounds=len(rounds))
    clients = prepare(load_utterances(settings), settings).clients
    architecture = architecture_of(settings.model, task)
    engines = [TfliteEngine(architecture, threads=1)]
    simulation = SecureFederation(settings, engines, clients)
    weights = initial_weights(architecture, stream(settings.seed, "initial weights"))
    for number, devices in enumerate(rounds, 1):
        weights, _ = simulation._next(number, weights, len(clients), list(devices))
    return weights


def simulated_with(whole: Path, stranger: Update) -> Weights:
    """Give the weights after one round in which a client has an update that nobody trained.

    Parameters
    ----------
    whole
        The manifest of all speakers.
    stranger
        That update, of a client whose name comes last.
    """
    settings = _settings(whole, DEFAULT_TASK)
    clients = prepare(load_utterances(settings), settings).clients[:DEVICES]
    architecture = architecture_of(settings.model, DEFAULT_TASK)
    simulation = Simulation(settings, [TfliteEngine(architecture, threads=1)], clients)
    weights = initial_weights(architecture, stream(settings.seed, "initial weights"))
    honest = simulation._updates(1, weights, list(range(DEVICES)), [])
    examples = [*map(len, clients), stranger.examples]
    strategy = strategy_of(settings, DEVICES + 1)
    return strategy.aggregate(weights, [*honest, stranger], examples=examples)


def _command(name: str, still: str, waits: Mapping[str, float]) -> list[str | Path]:
    """Give the words that start a command, that let it stand still somewhere, or wait less."""
    if still:
        return [sys.executable, STAND_STILL, name, *still.split()]
    package = name.replace("-", "_")
    own = [f"{place}={waits[place]}" for place in waits if place.startswith(f"{package}.")]
    return [sys.executable, HURRIED, name, ",".join(own)] if own else [BIN / name]


class Process:
    """A command in a process of its own; what it says goes to a file.

    Parameters
    ----------
    log
        The file; what processes before it have said stays there.
    command
        What to run.
    """

    def __init__(self, log: Path, *command: str | Path) -> None:
        self.log = log
        with log.open("a") as file:
            self._begin = file.tell()
            self._process = subprocess.Popen(
                [str(word) for word in command], stdout=file, stderr=file
            )

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

    def peak_memory(self) -> int:
        """Give the bytes of memory that it has held at most."""
        return 0 if self.ended else peak_memory(self._process.pid)

    def said(self, words: str) -> int:
        """Count how often it has said something; what one before it has said does not count."""
        return self.log.read_bytes()[self._begin :].count(words.encode())


class Processes(ExitStack):
    """The processes of one federation.

    Updates are sent as they are, if no other codec is asked for: so there is time for mischief.

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

    Attributes
    ----------
    access
        Gives a device's, or the ``aggregator``'s, further words about the broker.
    waits
        Seconds that processes wait instead of their own, by ``module:NAME`` of a constant.
    """

    def __init__(self, folder: Path, clips: Clips, model: str = "conv", *more: str) -> None:
        super().__init__()
        self.folder = folder
        self.clips = clips
        self.model = model
        self.more = more
        self.access: Callable[[str], Sequence[str]] = lambda _: ()
        self.waits: Mapping[str, float] = {}
        self.state = FederationFolder(folder / "aggregator")
        self.aggregator: Process | None = None
        self.devices: dict[int, Process] = {}
        self._all: list[Process] = []

    def serve(self, port: int, still: str = "") -> Process:
        """Start the aggregator; let it stand still somewhere (see ``stand_still.py``)."""
        words = f"serve --rounds {ROUNDS} --quorum {DEVICES} --model {self.model} --port {port}"
        words += "".join(f" --{name.replace('_', '-')} {value}" for name, value in UNPACED.items())
        words += " --initial fresh"  # as a simulation begins
        # Given twice, both would be welcome; secure rounds have their own.
        if not {"--codecs", "--secure"}.intersection(self.more):
            words += " --codecs float32"
        log = self.folder / "aggregator.log"
        self.aggregator = self._start(
            log,
            *_command("aggregator", still, self.waits),
            *words.split(),
            "--state",
            self.state.path,
            *self.clips.options,
            *self.access("aggregator"),
            *self.more,
        )
        return self.aggregator

    def run(self, number: int, port: int, threads: int = 1, still: str = "") -> Process:
        """Start a device; let it stand still somewhere (see ``stand_still.py``)."""
        name = client_name(number)
        words = f"run --client {name} --port {port} --holdout 0 --threads {threads}"
        self.devices[number] = self._start(
            self.folder / f"{name}.log",
            *_command("edge-client", still, self.waits),
            *words.split(),
            "--clips",
            self.clips.devices[number],
            "--state",
            self.folder / name,
            *self.clips.options,
            *self.access(name),
        )
        return self.devices[number]

    def _start(self, log: Path, *command: str | Path) -> Process:
        process = Process(log, *command)
        self.callback(process.kill)
        self._all.append(process)
        return process

    def remembered(self, number: int) -> dict[str, Any]:
        """Give what a device keeps of its part on its disk."""
        state = DeviceFolder(self.folder / client_name(number))
        return remembered(state.federations / "chorus")

    def read(self, what: Callable[[History], Any]) -> Any:
        """Read the ledger, beside the aggregator; ``None`` while there is none."""
        if not self.state.ledger.exists():
            return None
        try:
            with History(self.state.ledger) as history:
                return what(history)
        except (ChorusError, OSError):
            return None  # it is being made

    def round(self, number: int) -> Any:
        """Give what the ledger has of a round; ``None`` before it is opened."""
        return self.read(lambda history: history.round(number))

    def reached(self, number: int, state: str) -> bool:
        """Say whether a round is in a state."""
        record = self.round(number)
        return record is not None and record.state == state

    def clients(self, number: int) -> list[str]:
        """Name those whose update counts in a round."""
        updates = self.read(lambda history: history.updates(number)) or ()
        return [update.client for update in updates]

    def counted(self, number: int) -> int:
        """Count a round's accepted updates."""
        return len(self.clients(number))

    def update(self, number: int, device: int) -> Any:
        """Give what the ledger has of a device's update in a round, once it counts."""
        return self.read(lambda history: history.update(number, client_name(device)))

    def current(self) -> Any:
        """Give the current version of the model."""
        return self.read(lambda history: history.current())

    def wait_for_model(self) -> Any:
        """Give the first version of the model, once it is there."""
        self.wait(self.current, "there is a model")
        return self.current()

    def safe(self, number: int) -> int:
        """Count the bytes of a device's update that are safe at the aggregator, until it counts."""
        total = 0
        for path in self.state.uploads.glob(f"{client_name(number)}-*.ranges"):
            with suppress(FileNotFoundError):  # it counts by now
                # Each line is a range, and its checksum.
                for line in path.read_text().splitlines():
                    begin, end, _ = line.split()
                    total += int(end) - int(begin)
        return total

    def uploading(self) -> bool:
        """Say whether part of an update has arrived, safe or not."""
        return any(path.stat().st_size for path in self.state.uploads.glob("*.part"))

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait on a condition, bounded, while no process fails."""
        end = time.monotonic() + PATIENCE
        while not condition():
            failed = [each.code for each in self._all if each.code not in (None, 0, -9)]
            assert not failed, f"it ended, before {what}\n{self.said}"
            assert time.monotonic() < end, f"still not: {what}\n{self.said}"
            time.sleep(0.005)

    @property
    def said(self) -> str:
        """All that all have said."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def finish(self, expected: Weights, devices: int = DEVICES) -> None:
        """Wait for the end; check that each update counted once, and the result.

        Parameters
        ----------
        expected
            The result.
        devices
            How many of the devices, the first of them, have an update in each round.
        """
        self.reach(ROUNDS, expected, devices)
        # Nothing was taken for what it is not.
        assert not self.read(lambda history: history.refusals())
        assert "arrived damaged" not in self.said
        assert "not what was offered" not in self.said

    def reach(self, rounds: int, expected: Weights, devices: int = DEVICES) -> None:
        """Wait until so many rounds are done; check that each update counted once, and the result.

        Whatever else was offered may have been refused.
        """
        self.wait(lambda: self.reached(rounds, "done"), f"round {rounds} is done")
        for number in range(1, rounds + 1):
            assert self.reached(number, "done")
            assert self.clients(number) == [client_name(device) for device in range(devices)]
        assert "Traceback" not in self.said
        assert self.weights().tobytes() == expected.tobytes()

    def weights(self) -> Weights:
        """Give the weights of the current version of the model."""
        path = self.state.models / f"{self.current().digest}.safetensors"
        return load_weights(path, architecture_of(self.model, self.clips.task))
