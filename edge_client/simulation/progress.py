"""Shows how long work is going: a live line in a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from edge_client.simulation.federation import clients_of_round
from edge_client.simulation.run_folder import RoundRow
from edge_client.simulation.settings import SimulationSettings

if TYPE_CHECKING:
    from rich.console import Console

_COST: Final = {
    "dense": 3.0,
    "conv": 1.0,
    "lstm": 20.0,
    "tdnn": 2.0,
    "tdnn13": 2.5,
    "mlp": 0.04,
    "head": 0.02,
}
"""Relative time of a training step of each model, to weigh runs against each other."""

_PLAIN_LINES: Final = 20
"""Lines a run prints where there is no terminal."""


def work(settings: SimulationSettings, examples: Sequence[int]) -> float:
    """Estimate a run's work, in units that only mean something against each other.

    Parameters
    ----------
    settings
        Of the run.
    examples
        How many each client has; in the baseline one has all.
    """
    clients = len(examples)
    share = 1.0 if settings.baseline else clients_of_round(settings, clients) / clients
    trained: float
    if settings.steps:
        trained = clients * settings.steps * settings.batch_size
    else:
        trained = sum(examples) * (settings.epochs or 1)
    return settings.rounds * share * trained * _COST.get(settings.model, 1.0)


class RunProgress:
    """Shows how the runs of a study are going, together.

    Parameters
    ----------
    console
        Where to show it.
    total
        The work of all runs; see :func:`work`.
    clock
        Gives seconds; for tests.
    """

    def __init__(
        self, console: "Console", total: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = console
        self._clock = clock
        self._begun = clock()
        self._total = total
        self._finished = self._skipped = 0.0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=total, left="")

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End showing."""
        self._bar.stop()

    def run(self, title: str, work: float) -> "WatchedRun":
        """Give what watches one of the runs.

        Parameters
        ----------
        title
            What lines about it begin with.
        work
            Its own.
        """
        return WatchedRun(self, title, work)

    def advance(self, work: float, *, skipped: bool = False) -> None:
        """Learn that so much more is done, or was done before, or never will be."""
        self._finished += work
        if skipped:
            self._skipped += work

    def show(self, text: str, *, lasting: bool) -> None:
        """Show what is going on, and in a line that stays if there is no terminal."""
        left = self._left()
        self._bar.update(self._task, description=text, completed=self._finished, left=left)
        if lasting and not self._console.is_terminal:
            self._console.print(f"{text}  {left}", soft_wrap=True)

    def _left(self) -> str:
        done = self._finished - self._skipped
        seconds = (self._clock() - self._begun) * (self._total - self._finished) / max(done, 1e-9)
        return f"{duration(max(0.0, seconds))} left"


class WatchedRun:
    """Watches one run of a study; see :class:`edge_client.simulation.run.Watcher`.

    Parameters
    ----------
    progress
        Of the study.
    title
        What lines begin with.
    work
        Of the run.
    """

    def __init__(self, progress: RunProgress, title: str, work: float) -> None:
        self._progress = progress
        self._title = title
        self._work = work
        self._rounds = 1
        self._done = 0

    def start(self, done: int, rounds: int) -> None:
        """Learn how many rounds the run has, and how many were done before."""
        self._rounds, self._done = rounds, done
        self._progress.advance(self._work * done / rounds, skipped=True)

    def round(self, record: RoundRow) -> None:
        """Show a finished round."""
        self._done += 1
        self._progress.advance(self._work / self._rounds)
        # Nobody knows it in secure rounds with noise.
        loss = "" if math.isnan(record.loss) else f"  loss {record.loss:.3f}"
        if record.validation_uar is not None:
            loss += f"  validation UAR {record.validation_uar:.3f}"
        often = max(1, self._rounds // _PLAIN_LINES)
        text = f"{self._title}round {record.round}/{self._rounds}{loss}"
        self._progress.show(text, lasting=record.round % often == 0)

    def end(self, result: Mapping[str, Any]) -> None:
        """Learn what a finished run came to; its files are written."""

    def fail(self) -> None:
        """Learn that the run has failed: what was left of it is not to be waited for."""
        left = self._work * (1 - self._done / self._rounds)
        self._done = self._rounds
        self._progress.advance(left, skipped=True)


def duration(seconds: float) -> str:
    """Write a time as people do: ``48 s``, ``12 min``, ``3 h 05 min``."""
    minute, hour = 60, 3600
    if seconds < 2 * minute:
        return f"{seconds:.0f} s"
    if seconds < 2 * hour:
        return f"{seconds / minute:.0f} min"
    return f"{seconds // hour:.0f} h {seconds % hour // minute:02.0f} min"
