"""What trains the clients of runs, made once for all runs of a model."""

from collections.abc import Sequence

from edge_client.learning.training import Engine
from edge_client.simulation.client_work import Workers
from edge_client.simulation.data import ClientShares
from edge_client.simulation.own_model import model_of
from edge_client.simulation.settings import SimulationSettings
from shared.architectures import Architecture
from shared.tflite import physical_cores

MOST_SIDE_BY_SIDE = 4
"""Clients trained at a time unless ``threads`` says more: each takes a model's memory."""


class Engines:
    """Makes engines; runs of the same model share them, so that they are compiled once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, Architecture], list[Engine]] = {}

    def get(self, settings: SimulationSettings) -> Sequence[Engine]:
        """Give the engines that a run's settings ask for: one for the baseline."""
        threads = settings.threads or min(physical_cores(), MOST_SIDE_BY_SIDE)
        architecture = model_of(settings.model, settings.task)
        made = self._made.setdefault((settings.engine, architecture), [])
        count = 1 if settings.baseline else min(threads, settings.clients or threads)
        while len(made) < count:
            made.append(make_engine(settings.engine, architecture, threads))
        return made[:count]

    def workers(self, settings: SimulationSettings, clients: ClientShares) -> Workers | None:
        """Give what trains the clients of a run, if its engines do not."""
        del settings, clients
        return None


def make_engine(engine: str, architecture: Architecture, threads: int) -> Engine:
    """Make an engine by its name, for a process in which so many compute at a time."""
    if engine == "keras":
        from edge_client.simulation.keras_engine import KerasEngine

        return KerasEngine(architecture, threads)
    from edge_client.tflite.engine import TfliteEngine

    return TfliteEngine(architecture, threads=1)
