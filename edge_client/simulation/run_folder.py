"""The folder of a run: what lies in it, and whose it is."""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.other_settings import difference_from
from edge_client.simulation.summary import SCHEMA
from shared.errors import RunError
from shared.settings import Settings
from shared.starter import beside
from shared.storage.files import is_locked, leftovers, lock, storage_errors, write_atomically

_SUMMARY: Final = "summary"
"""Key of ``result.json`` that says what a summary is of; a single run's has none."""


@dataclass(frozen=True, slots=True)
class RoundRow:
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
        "reliability.png",
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
        self.voice = beside(self.model, "voice")
        self.partition = path / "partition.png"
        self.reliability = path / "reliability.png"
        self.result = path / "result.json"
        self.rounds = path / "rounds.csv"
        self.table = path / "table.md"
        self.controls = path / "controls"
        self._lock = path / ".lock"

    @property
    def files(self) -> list[Path]:
        """All files that a run writes here and keeps."""
        return [self.path / name for name in (*self.FILES, self.voice.name)]

    @property
    def replaced(self) -> list[Path]:
        """All files that are removed when another run replaces this one."""
        return [*self.files, *self.controls.rglob("*")]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder; it is made if it is not there.

        Raises
        ------
        RunError
            If another process is in it.
        """
        descriptor = lock(self._lock, self._taken())
        try:
            yield
        finally:
            os.close(descriptor)

    def check_free(self) -> None:
        """Raise :class:`RunError` if another process is in the folder; nothing is written."""
        if is_locked(self._lock):
            raise self._taken()

    def check(self, settings: Settings, *, resume: bool, overwrite: bool) -> None:
        """Check that the folder can be taken for a run with these settings; nothing is written.

        Raises
        ------
        RunError
            If it belongs to another run, or to this one and neither ``resume`` nor ``overwrite``
            is given, or holds files that no run has written.
        """
        if self.path.is_file():
            raise RunError(f"{self.path} is a file, not a folder.", "Give another --out.")
        if not self._is_begun():
            if theirs := self._visible():
                raise RunError(
                    f"{self.path} holds files that no run has written ({theirs[0]}).",
                    "Give another --out.",
                )
            return
        if not (resume or overwrite):
            raise RunError(
                f"{self.path} holds a run already.",
                "Go on with it (--resume), replace it (--overwrite), or give another --out.",
            )
        if not overwrite:
            self.check_own(settings)

    def check_own(self, settings: Settings) -> None:
        """Raise :class:`RunError` if the folder's run has other settings."""
        if difference := difference_from(self.config, settings):
            raise RunError(
                f"{self.path} belongs to another run: {difference}.",
                "Give the same settings (its config.toml has them), or another --out.",
            )

    def check_clips(self, known: str, clips: str) -> None:
        """Raise :class:`RunError` if the folder's run knows other clips.

        Parameters
        ----------
        known
            The digest in what the run has written; empty in that of versions that wrote none.
        clips
            That of the clips which are there now.
        """
        if known not in ("", clips):
            raise RunError(
                f"{self.path} belongs to another run: its clips differ.",
                "Give the clips it was begun with, or another --out.",
            )

    def check_begun_with(
        self, known: Mapping[str, Any], clips: str, files: Mapping[str, str]
    ) -> None:
        """Raise :class:`RunError` if the folder's run knows other clips, or others of its files.

        Parameters
        ----------
        known
            The digests in what the run has written: ``clips``, and ``files`` by the settings that
            name them, or by what stands beside the clips. What versions have not written that wrote
            fewer is not compared.
        clips, files
            Those of what is there now.
        """
        self.check_clips(known.get("clips", ""), clips)
        for name, digest in known.get("files", {}).items():
            if files.get(name, digest) != digest:
                raise RunError(
                    f"{self.path} belongs to another run: the content of its {name} is another.",
                    "Give what it was begun with, or another --out.",
                )

    def claim(self, settings: Settings, *, resume: bool, overwrite: bool) -> None:
        """Take the folder for a run with these settings; remove an old one if so asked.

        Raises
        ------
        RunError
            As :meth:`check` does, or if another process is in the folder.
        """
        with self.locked():
            # Again, now that nobody else can come in between.
            self.check(settings, resume=resume, overwrite=overwrite)
            if overwrite:
                self._clear()
            for path in self.files:
                for leftover in leftovers(path):
                    leftover.unlink(missing_ok=True)
            if not self.config.exists():
                write_atomically(self.config, settings.to_toml())

    def check_above(self, kind: str) -> None:
        """Check that runs can go into folders below this one, and their summary into it.

        Parameters
        ----------
        kind
            What the summary is of: only one of the same kind is replaced.

        Raises
        ------
        RunError
            If the folder is that of a run itself, or the summary would replace something else.
        """
        if self.config.exists():
            raise RunError(f"{self.path} holds a single run.", "Give another --out.")
        there = [path.name for path in (self.result, self.table) if path.exists()]
        if there and self._summarised() != kind:
            raise RunError(
                f"{self.path / there[0]} is of something else, and would be replaced.",
                "Move it away, or give another --out.",
            )

    def write_summary(self, kind: str, summary: Mapping[str, Any]) -> None:
        """Write the summary of runs in folders below this one as ``result.json``."""
        document = {_SUMMARY: kind, **summary}
        write_atomically(self.result, json.dumps(document, indent=2) + "\n")

    def write_rounds(self, records: Sequence[RoundRow]) -> None:
        """Write ``rounds.csv``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [field.name for field in fields(RoundRow)]
        writer.writerow(names)
        for record in records:
            writer.writerow([_cell(getattr(record, name)) for name in names])
        write_atomically(self.rounds, text.getvalue())

    def read_rounds(self) -> dict[str, NDArray[np.float64]]:
        """Read ``rounds.csv`` by its columns; an empty cell is NaN.

        Raises
        ------
        RunError
            If it is damaged or missing.
        """
        try:
            with self.rounds.open(newline="") as file:
                header, *rows = csv.reader(file)
            cells = np.array([[float(cell or "nan") for cell in row] for row in rows])
            return dict(zip(header, cells.T, strict=True))
        except (OSError, ValueError, csv.Error) as error:
            raise RunError(
                f"{self.rounds} is damaged ({error}).", "Make the run again (--overwrite)."
            ) from error

    def write_result(self, result: dict[str, Any]) -> None:
        """Write ``result.json``: with it, the run is finished."""
        write_atomically(self.result, json.dumps(result, indent=2) + "\n")
        self.drop_state()

    def drop_state(self) -> None:
        """Remove what only a run that is not finished needs: it can be gigabytes."""
        with storage_errors(self.path):
            self.checkpoint.unlink(missing_ok=True)
            if self.controls.exists():
                shutil.rmtree(self.controls)

    def read_result(self) -> dict[str, Any] | None:
        """Read ``result.json``; ``None`` if the run is not finished.

        Raises
        ------
        RunError
            If it is damaged, or a newer version has written it.
        """
        if not self.result.exists():
            return None
        try:
            result = json.loads(self.result.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise self.damaged(str(error)) from error
        if not isinstance(result, dict):
            raise self.damaged("it holds no object")
        if not isinstance(schema := result.get("schema", 1), int) or schema > SCHEMA:
            raise RunError(
                f"{self.result} was written by a newer version of chorus-edge (schema {schema}).",
                "Use that version.",
            )
        return result

    def damaged(self, why: str) -> RunError:
        """Make the error of a result that is not what a run has written."""
        return RunError(
            f"{self.result} is damaged ({why}).",
            "Delete it: the same command (`simulate` with --resume) makes the run again.",
        )

    def _taken(self) -> RunError:
        return RunError(
            f"{self.path} is in use by another process.", "Let that end, or give another --out."
        )

    def _summarised(self) -> Any:
        """Read what the folder's summary is of; ``None`` where ``result.json`` is none of ours."""
        try:
            return json.loads(self.result.read_text())[_SUMMARY]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None

    def _is_begun(self) -> bool:
        """Say whether a run has taken the folder: anybody may have a ``config.toml`` in theirs.

        Copies of a run need not have its lock.
        """
        besides = (self._lock, self.checkpoint, self.rounds, self.result)
        return self.config.exists() and any(path.exists() for path in besides)

    def _visible(self) -> list[str]:
        if not self.path.exists():
            return []
        names = sorted(entry.name for entry in self.path.iterdir())
        return [name for name in names if not name.startswith(".")]

    def _clear(self) -> None:
        self.drop_state()
        with storage_errors(self.path):
            for path in self.files:
                if path != self.config:
                    path.unlink(missing_ok=True)
            # Last: what is left without it, if this is interrupted, would be nobody's.
            self.config.unlink(missing_ok=True)


def claim_all(runs: Iterable[tuple[RunFolder, Settings]], *, resume: bool, overwrite: bool) -> None:
    """Take folders for runs, each with its settings; remove old runs if so asked.

    All are looked at before the first is taken: a run that is going on in one of them costs no
    result in another.

    Raises
    ------
    RunError
        As :meth:`RunFolder.claim` does. Nothing was written, and nothing removed, unless another
        process has come in between.
    """
    runs = list(runs)
    for folder, settings in runs:
        folder.check_free()
        folder.check(settings, resume=resume, overwrite=overwrite)
    for folder, settings in runs:
        folder.claim(settings, resume=resume, overwrite=overwrite)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
