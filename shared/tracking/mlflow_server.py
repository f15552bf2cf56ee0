"""Runs in MLflow: in a folder of its files, or at a server."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from shared.errors import MissingPartError, SettingsError, TrackingError, reason_of
from shared.tracking.tracked_run import Point, TrackedRun

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

_ENVIRONMENT: Final = {
    # Folders of files are what it has begun with; newer ones ask for a database, or for this.
    "MLFLOW_ALLOW_FILE_STORE": "true",
    # It would tell its makers how it is used.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # It would print addresses between the lines of a JSON answer.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Minutes otherwise, in each of which it is silent.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""What MLflow is told, unless its user has told it something else."""

_IDENTITY: Final = "chorus.run"
_SHOWN: Final = "chorus.shown"
"""Tag with the last step of the curves that has arrived."""

_AT_ONCE: Final = 500
"""Values in a message; MLflow takes 1,000."""

_MOST_SETTINGS: Final = 100
"""In a message."""

_MOST_CHARACTERS: Final = 6000
"""Of a setting's value."""


class MlflowServer:
    """Takes runs to MLflow.

    Parameters
    ----------
    uri
        As MLflow has them: a folder, ``http://HOST:PORT``, ``sqlite:///FILE``.

    Attributes
    ----------
    place
        The URI, without a password, for sentences.

    Raises
    ------
    MissingPartError
        If a package is not installed.
    SettingsError
        If MLflow cannot use the URI.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.place = _without_password(uri)
        if find_spec("mlflow") is None:
            raise MissingPartError(
                "What --mlflow writes needs mlflow-skinny, which is not installed.",
                "Install it with: pip install 'chorus-edge[mlflow]'",
            )
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        try:
            # A folder is meant from here, also if the process goes elsewhere.
            there = uri if ":" in uri or uri == "databricks" else str(Path(uri).absolute())
            self._client = MlflowClient(there)
        except ImportError as error:
            raise MissingPartError(
                f"MLflow needs another package for {self.place}: {error}.",
                "Install it with: pip install mlflow",
            ) from error
        except Exception as error:
            raise SettingsError(
                f"MLflow cannot use {self.place}: {self._reason(error)}.",
                "Give a folder, or a server (http://HOST:5000), with --mlflow.",
            ) from error

    def deliver(self, tracked: TrackedRun) -> None:
        """Bring all that MLflow does not have of a run; as often as one likes.

        Raises
        ------
        TrackingError
            If not all of it has arrived; the same call goes on.
        """
        with self._errors():
            # What comes to be known meanwhile is for another time.
            ended, points = tracked.ended, list(tracked.points)
            run = self._find(tracked)
            identifier = run.info.run_id
            shown = run.data.tags.get(_SHOWN)
            if shown is None:
                self._tell_settings(identifier, tracked.settings)
            fresh = [point for point in points if point.step > int(shown or 0)]
            if ended and run.info.status == "FINISHED" and not fresh:
                return
            self._draw(identifier, fresh)
            for folder, paths in tracked.files.items():
                for path in paths:
                    self._client.log_artifact(identifier, str(path), folder)
            if ended:
                last = points[-1].step if points else 0
                if tracked.scores:
                    scored = Point(last, time.time(), tracked.scores)
                    self._client.log_batch(identifier, metrics=_metrics([scored]))
                self._client.set_terminated(identifier)

    def _reason(self, error: Exception) -> str:
        """Say why MLflow has failed, which repeats what it was given."""
        return reason_of(error).replace(self._uri, self.place)

    def _find(self, tracked: TrackedRun) -> "Run":
        """Find the run, or make it."""
        experiment = self._client.get_experiment_by_name(tracked.experiment)
        if experiment is None:
            number = self._client.create_experiment(tracked.experiment)
        else:
            number = experiment.experiment_id
            # Quotation marks end the text in MLflow's language.
            own = f"tags.`{_IDENTITY}` = '{_quotable(tracked.identity)}'"
            if found := self._client.search_runs([number], own, max_results=1):
                return found[0]
        tags = {_IDENTITY: _quotable(tracked.identity)}
        return self._client.create_run(number, tags=tags, run_name=tracked.name)

    def _tell_settings(self, identifier: str, settings: Any) -> None:
        from mlflow.entities import Param, RunTag

        told = [Param(name, _text(value)) for name, value in settings.items()]
        for first in range(0, len(told), _MOST_SETTINGS):
            self._client.log_batch(identifier, params=told[first : first + _MOST_SETTINGS])
        self._client.log_batch(identifier, tags=[RunTag(_SHOWN, "0")])

    def _draw(self, identifier: str, points: list[Point]) -> None:
        """Add points to the curves, and note with them how far they go."""
        from mlflow.entities import RunTag

        while points:
            some, points = _first_of(points)
            tag = RunTag(_SHOWN, str(some[-1].step))
            self._client.log_batch(identifier, metrics=_metrics(some), tags=[tag])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say as a sentence what MLflow raises, which can be anything."""
        try:
            yield
        except Exception as error:
            if _is_away(error):
                raise TrackingError(
                    f"MLflow at {self.place} does not answer.",
                    "Look whether it runs, and start again.",
                    away=True,
                ) from error
            raise TrackingError(
                f"MLflow at {self.place} does not take this: {self._reason(error)}.",
                "Look into its log.",
            ) from error


def _is_away(error: BaseException) -> bool:
    """Say whether no answer has come: MLflow raises an error of its own about that of requests."""
    from requests.exceptions import ConnectionError as NoConnectionError
    from requests.exceptions import Timeout

    causes = (error, error.__cause__, error.__context__)
    return any(isinstance(cause, NoConnectionError | Timeout) for cause in causes)


def _first_of(points: list[Point]) -> tuple[list[Point], list[Point]]:
    """Divide points into as many as a message takes, one at least, and the others."""
    count = values = 0
    while count < len(points) and (not count or values + len(points[count].there) <= _AT_ONCE):
        values += len(points[count].there)
        count += 1
    return points[:count], points[count:]


def _metrics(points: list[Point]) -> list["Metric"]:
    from mlflow.entities import Metric

    return [
        Metric(name, value, round(point.at * 1000), point.step)
        for point in points
        for name, value in point.there.items()
    ]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:_MOST_CHARACTERS]


def _quotable(text: str) -> str:
    return text.replace("'", "_").replace('"', "_")


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
