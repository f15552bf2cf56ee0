"""Short runs, with an engine of NumPy and a tiny model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.simulation.run import Run, Stopped
from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.settings import SimulationSettings
from shared.weights import load_weights
from tests.edge_client.tiny import TINY, NumpyEngine, utterances

UTTERANCES = utterances(6, 8)
ROUNDS = 5


def simulation(**values: Any) -> SimulationSettings:
    return SimulationSettings.parse({"rounds": ROUNDS, "learning_rate": 0.003, **values})


class Watcher:
    """Notes what it is shown; may raise in a round."""

    def __init__(
        self, raise_after: int | None = None, error: type[BaseException] = OSError
    ) -> None:
        self.started: tuple[int, int] | None = None
        self.records: list[RoundRow] = []
        self._raise_after, self._error = raise_after, error

    def start(self, done: int, rounds: int) -> None:
        self.started = (done, rounds)

    def round(self, record: RoundRow) -> None:
        self.records.append(record)
        if record.round == self._raise_after:
            raise self._error


def clock(step: float) -> Callable[[], float]:
    """Make a clock that goes on by ``step`` seconds whenever it is asked."""
    times = iter(np.arange(0, 1e6, step) if step else np.zeros(10_000))
    return lambda: float(next(times))


def execute(
    path: Path, watcher: Watcher | None = None, seconds: float = 10, **values: Any
) -> dict[str, Any]:
    settings, folder = simulation(**values), RunFolder(path)
    folder.claim(settings, resume=True, overwrite=False)
    run = Run(settings, folder, UTTERANCES, [NumpyEngine()], clock(seconds))
    return run.execute(watcher or Watcher())


def stop(path: Path, number: int, **values: Any) -> None:
    """Run until some rounds are done; the checkpoint then has them."""
    with pytest.raises(Stopped):
        execute(path, Watcher(number, KeyboardInterrupt), **values)


def outcome(path: Path) -> list[str]:
    """Name what a run came to: its model, and its rounds but for the seconds they took."""
    model = load_weights(path / "model.safetensors", TINY)
    rows = [row.split(",") for row in (path / "rounds.csv").read_text().splitlines()]
    return [model.tobytes().hex(), *(",".join(row[:6] + row[7:]) for row in rows)]
