"""The clips of a federation's devices, and what comes of them in a simulation."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import soundfile

from aggregator.strategies import Update
from aggregator.strategies.settings import strategy_of
from edge_client.simulation.data import prepare
from edge_client.simulation.federation import SimulatedFederation as Simulation
from edge_client.simulation.federation import client_name
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import load_utterances
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import architecture_of
from shared.corpora import load_corpus
from shared.randomness import stream
from shared.starter import STARTER_TASK
from shared.task import DEFAULT_TASK, Task, options_for
from shared.weights import Weights, initial_weights

SPEAKERS, EACH = 3, 8
"""One speaker is the simulation's test; each of the others has a device."""

DEVICES = SPEAKERS - 1

MORE_SPEAKERS = 5
"""Where a federation needs more devices: four of them."""

ROUNDS = 2


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


def simulated_securely(
    whole: Path, task: Task, rounds: Sequence[Sequence[int]], speakers: int = MORE_SPEAKERS
) -> Weights:
    """Give the weights after secure rounds, each with the updates of these devices.

    Parameters
    ----------
    whole
        The manifest of all speakers.
    task
        What they are clips of.
    rounds
        Numbers of the devices whose updates are in each round's sum; nobody's in that of a round
        that was abandoned.
    speakers
        How many there are; each but the one of the simulation's test has a device.
    """
    settings = _settings(whole, task, secure=True, folds=speakers, rounds=len(rounds))
    clients = prepare(load_utterances(settings), settings).clients
    architecture = architecture_of(settings.model, task)
    engines = [TfliteEngine(architecture, threads=1)]
    simulation = SecureFederation(settings, engines, clients)
    weights = initial_weights(architecture, stream(settings.seed, "initial weights"))
    for number, devices in enumerate(rounds, 1):
        if devices:
            made = simulation._next(number, weights, len(clients), list(devices))
            assert made, "it was not given up"
            weights, _ = made
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
    honest = simulation._updates(1, weights, list(range(DEVICES)), {})
    examples = [*map(len, clients), stranger.examples]
    strategy = strategy_of(settings, DEVICES + 1)
    return strategy.aggregate(weights, [*honest, stranger], examples=examples)
