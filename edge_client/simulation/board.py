"""Shows runs in TensorBoard and MLflow while they go: scalars, settings, pictures."""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_client.simulation.progress import WatchedRun
from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.study import Planned, Watch
from edge_client.simulation.summary import METRICS
from shared.tracking import Delivery, EventsFile, Point, TrackedRun
from shared.tracking.events_file import own_folder

if TYPE_CHECKING:
    from rich.console import Console

_CURVES: Final = {
    "loss": "round/loss",
    "validation_loss": "round/validation_loss",
    "validation_uar": "round/validation_uar",
    "validation_accuracy": "round/validation_accuracy",
    "seconds": "round/seconds",
    "bytes_up": "round/bytes up",
    "bytes_down": "round/bytes down",
}
"""Names of the curves, by column of ``rounds.csv``."""

_ALONE: Final = "chorus"
"""The experiment of runs that belong to no study."""


@contextmanager
def shown_in(
    board: Path | None, mlflow: str | None, console: "Console", study: Path | None = None
) -> Iterator[Watch]:
    """Let runs be seen in TensorBoard and MLflow, where that is asked for.

    Parameters
    ----------
    board
        The folder that ``tensorboard --logdir`` is given.
    mlflow
        URI of MLflow.
    console
        Where it is said that MLflow is away.
    study
        Folder of all runs, below which their own are; ``None`` if there is one run alone.

    Yields
    ------
    Watch
        Gives what watches a run.

    Raises
    ------
    MissingPartError
        If a package is not installed.
    SettingsError
        If MLflow cannot use the URI.
    StorageError
        If the folder cannot be made.
    """
    delivery: Delivery | None = None
    if board:
        from shared.tracking.events_file import check_tensorboard

        check_tensorboard(board)
    if mlflow:
        from shared.tracking.mlflow_server import MlflowServer

        def say(sentence: str) -> None:
            console.print(sentence, soft_wrap=True)

        delivery = Delivery(MlflowServer(mlflow).deliver, say)

    def watched(run: WatchedRun, planned: Planned) -> WatchedRun:
        names = _names(planned, study)
        if board:
            run = TensorBoardRun(run, planned, board / Path(*names))
        return MlflowRun(run, planned, names, delivery) if delivery else run

    try:
        yield watched
    finally:
        if delivery:
            delivery.close()


def _names(planned: Planned, study: Path | None) -> tuple[str, ...]:
    """Name a run by its folder; in a study after the study, and by the folders between."""
    if study is None:
        return (planned.folder.resolve().name,)
    # Not where a link leads to: runs may lie on another disk.
    return (study.resolve().name, *planned.folder.relative_to(study).parts)


class TensorBoardRun(WatchedRun):
    """Writes what a run gives as TensorBoard's events, and passes it on to the progress.

    Parameters
    ----------
    run
        What else watches it.
    planned
        Which run.
    folder
        The run's, below the folder that ``tensorboard --logdir`` is given.

    Raises
    ------
    StorageError
        From its methods, if it cannot be written.
    """

    def __init__(self, run: WatchedRun, planned: Planned, folder: Path) -> None:
        self._run = run
        self._planned = planned
        self._folder = folder
        self._file: EventsFile | None = None

    def start(self, done: int, rounds: int) -> None:
        """Learn how many rounds there are; of a run that begins anew, forget those of before."""
        self._run.start(done, rounds)
        if done < rounds:  # else all is there
            owner = os.fsencode(self._planned.folder.resolve())
            self._file = EventsFile(own_folder(self._folder, owner, unmarked=done > 0))
            self._file.begin(done, self._planned.settings.to_toml())

    def round(self, record: RoundRow) -> None:
        """Show a finished round."""
        self._run.round(record)
        assert self._file  # noqa: S101 -- a round follows the start
        self._file.show(_point(asdict(record)))

    def end(self, result: Mapping[str, Any]) -> None:
        """Show the scores on the test, and the pictures of a finished run."""
        self._run.end(result)
        if not self._file:
            return
        rounds = result["settings"]["rounds"]
        self._file.show(Point(rounds, time.time(), _scores(result)))
        for path in _pictures(self._planned):
            self._file.show_picture(rounds, path)

    def fail(self) -> None:
        """Pass on that the run has failed; what was shown of it stays."""
        self._run.fail()


class MlflowRun(WatchedRun):
    """Gives what a run gives to MLflow, and passes it on to the progress.

    Parameters
    ----------
    run
        What else watches it.
    planned
        Which run.
    names
        What it is called, after the study that it belongs to.
    delivery
        Brings it there.
    """

    def __init__(
        self, run: WatchedRun, planned: Planned, names: Sequence[str], delivery: Delivery
    ) -> None:
        self._run = run
        self._files = RunFolder(planned.folder)
        self._planned = planned
        self._delivery = delivery
        experiment, *parts = names if len(names) > 1 else (_ALONE, *names)
        settings = planned.settings.model_dump(mode="json")
        self._tracked = TrackedRun(experiment, " ".join(parts), "", settings)

    def start(self, done: int, rounds: int) -> None:
        """Learn how many rounds there are, and take those that were done before."""
        self._run.start(done, rounds)
        # A run that replaces another in its folder has been begun at another time.
        begun = datetime.fromtimestamp(self._files.config.stat().st_mtime, UTC)
        place = self._files.path.resolve()
        self._tracked.identity = f"{socket.gethostname()}:{place} of {begun.isoformat()}"
        if done:
            columns = self._files.read_rounds()
            for cells in zip(*columns.values(), strict=True):
                row = dict(zip(columns, cells, strict=True))
                if row["round"] <= done:
                    self._tracked.points.append(_point(row))
        self._delivery.changed(self._tracked)

    def round(self, record: RoundRow) -> None:
        """Hand on a finished round."""
        self._run.round(record)
        self._tracked.points.append(_point(asdict(record)))
        self._delivery.changed(self._tracked)

    def end(self, result: Mapping[str, Any]) -> None:
        """Hand on the scores on the test, the pictures and the model of a finished run."""
        self._run.end(result)
        files, tracked = self._files, self._tracked
        models = [path for path in (files.model, files.voice) if path.exists()]
        tracked.files = {
            "model": models,
            "pictures": _pictures(self._planned),
            "run": [files.config, files.result, files.rounds],
        }
        tracked.scores = _scores(result)
        tracked.ended = True
        self._delivery.changed(tracked)

    def fail(self) -> None:
        """Pass on that the run has failed; what was shown of it stays."""
        self._run.fail()


def _point(row: Mapping[str, float | None]) -> Point:
    """Make a point of a line of ``rounds.csv``; NaN is no value."""
    values = {
        curve: row[name] if row[name] == row[name] else None for name, curve in _CURVES.items()
    }
    return Point(int(row["round"] or 0), time.time(), values)


def _scores(result: Mapping[str, Any]) -> dict[str, float]:
    return {f"test/{name}": result[name] for name in METRICS}


def _pictures(planned: Planned) -> list[Path]:
    files = RunFolder(planned.folder)
    drawn = (files.confusion, files.history, files.partition, files.reliability)
    return [path for path in drawn if path.exists()]
