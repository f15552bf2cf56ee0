"""A run's state between rounds, in one file that is whole or not there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shared.errors import RunError
from shared.files import write_atomically
from shared.weights import Weights

_WEIGHTS, _AVERAGE, _BEST, _STATE = "weights", "average", "best", "state."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a run needs to go on to the same weights, bit for bit.

    Attributes
    ----------
    number
        The last round that is finished.
    weights
        The global weights after it.
    average
        Their running average; the weights themselves where nothing is averaged.
    best
        The average chosen so far; that of a round's end.
    state
        The strategy's or the baseline optimiser's memory.
    facts
        The rounds so far and other plain values.
    """

    number: int
    weights: Weights
    average: Weights
    best: Weights
    state: Mapping[str, NDArray[Any]]
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the checkpoint; raise :class:`StorageError` if the disk is full."""
        arrays: dict[str, NDArray[Any]] = {_WEIGHTS: self.weights}
        arrays |= {_STATE + name: np.asarray(value) for name, value in self.state.items()}
        if self.average is not self.weights:
            arrays[_AVERAGE] = self.average
        if self.best is not self.average:
            arrays[_BEST] = self.best
        facts = json.dumps({"number": self.number, **self.facts})
        write_atomically(path, save(arrays, {"facts": facts}))

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint; raise :class:`RunError` if it is damaged."""
        try:
            with safe_open(path, "numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                facts = json.loads((file.metadata() or {})["facts"])
            weights = arrays[_WEIGHTS]
            average = arrays.get(_AVERAGE, weights)
            return cls(
                number=facts.pop("number"),
                weights=weights,
                average=average,
                best=arrays.get(_BEST, average),
                state={k.removeprefix(_STATE): v for k, v in arrays.items() if _STATE in k},
                facts=facts,
            )
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise RunError(
                f"The checkpoint {path} is damaged ({error}).",
                "Its run cannot be resumed; start it again with --overwrite.",
            ) from error
