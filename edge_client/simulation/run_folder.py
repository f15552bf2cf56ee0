"""The folder of a run: what lies in it, and whose it is."""

import csv
import io
import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from edge_client.simulation.settings import SimulationSettings
from shared.errors import RunError, SettingsError, StorageError
from shared.files import leftovers, write_atomically
from shared.settings import read_toml


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One line of ``rounds.csv``.

    Attributes
    ----------
    round
        From 1; an epoch in the baseline.
    clients
        Clients whose update counted.
    loss
        Mean training loss over the participants' examples.
    validation_loss, validation_uar, validation_accuracy
        Of the round's model on the validation split; ``None`` without one.
    seconds
        Training and aggregation, without evaluation.
    bytes_down, bytes_up
        What the participants would receive and send over a network.
    """

    round: int
    clients: int
    loss: float
    validation_loss: float | None
    validation_uar: float | None
    validation_accuracy: float | None
    seconds: float
    bytes_down: int
    bytes_up: int


class RunFolder:
    """The files of one run.

    Parameters
    ----------
    path
        The folder; made when the first file is written.
    """

    FILES: Final = (
        "checkpoint.safetensors",
        "config.toml",
        "confusion.png",
        "history.png",
        "model.safetensors",
        "partition.png",
        "result.json",
        "rounds.csv",
    )

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self.config = path / "config.toml"
        self.confusion = path / "confusion.png"
        self.history = path / "history.png"
        self.model = path / "model.safetensors"
        self.partition = path / "partition.png"
        self.result = path / "result.json"
        self.rounds = path / "rounds.csv"
        self.controls = path / "controls"

    def check(self, settings: SimulationSettings, *, resume: bool, overwrite: bool) -> None:
        """Check that the folder can be taken for a run with these settings; nothing is written.

        Raises
        ------
        RunError
            If it belongs to another run, or to this one and neither ``resume`` nor ``overwrite``
            is given, or holds files that no run has written.
        """
        if self.path.is_file():
            raise RunError(f"{self.path} is a file, not a folder.", "Give another --out.")
        theirs = self._files_of_others()
        if theirs and not self.config.exists():
            raise RunError(
                f"{self.path} holds files that no run has written ({theirs[0]}).",
                "Give another --out.",
            )
        if self.config.exists() and not overwrite:
            if not resume:
                raise RunError(
                    f"{self.path} holds a run already.",
                    "Go on with it (--resume), replace it (--overwrite), or give another --out.",
                )
            if difference := self._difference(settings):
                raise RunError(
                    f"{self.path} belongs to another run: {difference}.",
                    "Give the same settings (its config.toml has them), or another --out.",
                )

    def claim(self, settings: SimulationSettings, *, overwrite: bool) -> None:
        """Take the folder for a run with these settings; remove an old one if so asked."""
        if overwrite:
            self._clear()
        for name in self.FILES:
            for leftover in leftovers(self.path / name):
                leftover.unlink(missing_ok=True)
        write_atomically(self.config, settings.to_toml())

    def check_above(self) -> None:
        """Check that runs can go into folders below this one, and their summary into it.

        Raises
        ------
        RunError
            If the folder is that of a run itself, whose files the summary would replace.
        """
        if self.config.exists():
            raise RunError(f"{self.path} holds a single run.", "Give another --out.")

    def write_rounds(self, records: list[RoundRecord]) -> None:
        """Write ``rounds.csv``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [field.name for field in fields(RoundRecord)]
        writer.writerow(names)
        for record in records:
            writer.writerow([_cell(getattr(record, name)) for name in names])
        write_atomically(self.rounds, text.getvalue())

    def write_result(self, result: dict[str, Any]) -> None:
        """Write ``result.json``: with it, the run is finished."""
        write_atomically(self.result, json.dumps(result, indent=2) + "\n")

    def read_result(self) -> dict[str, Any] | None:
        """Read ``result.json``; ``None`` if the run is not finished."""
        if not self.result.exists():
            return None
        try:
            result: dict[str, Any] = json.loads(self.result.read_text())
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.result} is damaged ({error}).", "Delete it, and --resume."
            ) from error
        return result

    def _files_of_others(self) -> list[str]:
        if not self.path.exists():
            return []
        ours = {*self.FILES, self.controls.name}
        names = sorted(entry.name for entry in self.path.iterdir())
        return [name for name in names if name not in ours and not name.startswith(".")]

    def _clear(self) -> None:
        try:
            for name in self.FILES:
                (self.path / name).unlink(missing_ok=True)
            if self.controls.exists():
                shutil.rmtree(self.controls)
        except OSError as error:
            raise StorageError(f"Cannot clear {self.path}: {error.strerror}.") from error

    def _difference(self, settings: SimulationSettings) -> str:
        """Say in which setting the folder's run differs; empty if in none."""
        try:
            theirs = SimulationSettings.parse(read_toml(self.config))
        except SettingsError:
            return "its config.toml cannot be read"
        for name in SimulationSettings.model_fields:
            if (old := getattr(theirs, name)) != (new := getattr(settings, name)):
                return f"{name} is {old} there, {new} here"
        return ""


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def as_facts(records: list[RoundRecord]) -> list[dict[str, Any]]:
    """Turn records into plain values for a checkpoint."""
    return [asdict(record) for record in records]
