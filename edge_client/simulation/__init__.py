"""A whole federation in one process, for a workstation; experiments, scores and pictures.

What a client does in a round is :mod:`edge_client.learning`, and strategies are
:mod:`aggregator.strategies`: nothing of either is written here a second time.

From Python: :func:`simulate`, with a :class:`SimulationResult`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_client.simulation.simulating import SimulationResult, simulate

__all__ = ["SimulationResult", "simulate"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: commands import this package for ``--help``."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("edge_client.simulation.simulating"), name)
