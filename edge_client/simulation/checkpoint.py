"""A run's state between rounds, in one file that is whole or not there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from aggregator.strategies.bounds import ROUNDS
from edge_client.simulation.run_folder import RoundRow
from shared.architectures import Architecture
from shared.errors import RunError, WeightsError
from shared.round_settings import MOST_ROUNDS
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.task import DEFAULT_TASK
from shared.weights import Weights

_HEADER_LIMIT: Final = 1 << 26
"""Bytes of a checkpoint's header, which holds the rounds so far: more than any run needs."""

_WEIGHTS, _AVERAGE, _BEST, _STATE = "weights", "average", "best", "state."

_Round = Annotated[int, Field(le=MOST_ROUNDS)]


class _Facts(BaseModel):
    """The plain values of a checkpoint, as they stand in its file."""

    number: _Round
    chosen: _Round
    records: tuple[RoundRow, ...]
    task: str = DEFAULT_TASK.digest
    clips: str = ""
    files: dict[str, str] = {}


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
    chosen
        The round of ``best``.
    records
        The rounds so far.
    task
        Digest of what is recognised.
    clips
        Digest of what it is trained and scored on; empty in checkpoints from before there was one.
    files
        Digests of the files that it was given, by the settings that name them; none in checkpoints
        from before there were some.
    """

    number: int
    weights: Weights
    average: Weights
    best: Weights
    state: Mapping[str, NDArray[Any]]
    chosen: int = 0
    records: tuple[RoundRow, ...] = ()
    task: str = DEFAULT_TASK.digest
    clips: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the checkpoint; raise :class:`StorageError` if the disk is full."""
        arrays: dict[str, NDArray[Any]] = {_WEIGHTS: self.weights}
        arrays |= {_STATE + name: np.asarray(value) for name, value in self.state.items()}
        if self.average is not self.weights:
            arrays[_AVERAGE] = self.average
        if self.best is not self.average:
            arrays[_BEST] = self.best
        records = [asdict(record) for record in self.records]
        known = {"number": self.number, "chosen": self.chosen, "task": self.task}
        known["clips"] = self.clips
        facts = json.dumps({**known, "files": dict(self.files), "records": records})
        write_tensors(path, arrays, {"facts": facts})

    @classmethod
    def load(cls, path: Path, architecture: Architecture) -> "Checkpoint":
        """Read a checkpoint; raise :class:`RunError` if damaged, or of another model or task."""
        try:
            file = TensorFile(path, header_limit=_HEADER_LIMIT)
            facts = _read(file.metadata["facts"])
            arrays = {name: file.read(name) for name in file.tensors}
            _check(facts, arrays, architecture)
            weights = arrays[_WEIGHTS]
            average = arrays.get(_AVERAGE, weights)
            return cls(
                number=facts.number,
                weights=weights,
                average=average,
                best=arrays.get(_BEST, average),
                state={
                    name.removeprefix(_STATE): array
                    for name, array in arrays.items()
                    if name.startswith(_STATE)
                },
                chosen=facts.chosen,
                records=facts.records,
                task=facts.task,
                clips=facts.clips,
                files=facts.files,
            )
        except (WeightsError, KeyError, TypeError, ValueError) as error:
            raise damaged(path, error) from error


def damaged(path: Path, why: Exception) -> RunError:
    """Make the error of a checkpoint that its run cannot use."""
    return RunError(
        f"The checkpoint {path} is damaged ({str(why).rstrip('.')}).",
        "Its run cannot be resumed; start it again with --overwrite.",
    )


def _read(text: str) -> _Facts:
    try:
        return _Facts.model_validate_json(text)
    except ValidationError as error:
        raise ValueError("its rounds cannot be read") from error


def _check(facts: _Facts, arrays: Mapping[str, NDArray[Any]], architecture: Architecture) -> None:
    """Raise :class:`ValueError` if the parts of a checkpoint do not belong together."""
    if facts.task != architecture.task.digest:
        raise ValueError("it is of another task")
    rounds = [record.round for record in facts.records]
    if rounds != list(range(1, facts.number + 1)) or not 0 <= facts.chosen <= facts.number:
        raise ValueError("its rounds are not all there")
    whole, head = architecture.parameters, architecture.parameters - architecture.head_offset
    for name, array in arrays.items():
        if not name.startswith(_STATE):
            fits = array.dtype == np.float32 and array.shape == (whole,)
        else:  # a vector, one of the head alone, a counter, the last norms, a number a tensor
            few = max(ROUNDS, len(architecture.manifest))
            fits = array.ndim < 2 and (  # noqa: PLR2004 -- flat
                array.size in (whole, head) or 1 <= array.size <= few
            )
        if not fits:
            raise ValueError(f"{name} is of another length or type")
