"""Several runs that belong together: seeds, folds, the cells of an experiment."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_client.simulation.engines import Engines
from edge_client.simulation.given_files import digests_of_files, files_of
from edge_client.simulation.progress import RunProgress, WatchedRun, work
from edge_client.simulation.run import Run, Watcher
from edge_client.simulation.run_folder import RunFolder, claim_all
from edge_client.simulation.settings import DataSettings, SimulationSettings
from edge_client.simulation.start_checks import check_can_start, check_parts, privacy_of
from edge_client.simulation.summary import METRICS, summarise
from edge_client.simulation.utterances import Utterances, load_utterances
from shared.errors import ChorusError, SettingsError, reason_of
from shared.features.cache import tell_skipped
from shared.front_ends import file_named
from shared.storage.files import refuse_replacing

if TYPE_CHECKING:
    from rich.console import Console

_CORPUS: Final = ("labels", "front_end", "corpus", "data", "happy", "test_corpus", "test_data")
"""Settings that determine the utterances of a run."""

_SHOWN: Final = (*METRICS, "utterances", "chosen_round", "seconds_per_round", "bytes_up_per_round")
"""What tables show of a result, besides what is summarised."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A run to be made.

    Attributes
    ----------
    folder
        Where its files go.
    settings
        What determines its result.
    title
        What progress calls it; empty where it is the only one.
    """

    folder: Path
    settings: SimulationSettings
    title: str = ""

    @property
    def heading(self) -> str:
        """What lines about it begin with."""
        return f"{self.title}  " if self.title else ""


def seeds_and_folds(
    settings: SimulationSettings, seeds: int, *, every_fold: bool
) -> Iterator[tuple[str, SimulationSettings]]:
    """Vary a run's seed, from its own on, and its fold; give each a name.

    Raises
    ------
    SettingsError
        If every fold is asked for where there are none.
    """
    if every_fold and not settings.has_folds:
        raise SettingsError(
            "There is one test and no folds, with --protocol paper or a --test-corpus.",
            "Leave out --every-fold; --seeds gives several runs.",
        )
    for seed in range(settings.seed, settings.seed + seeds):
        for fold in range(1, settings.folds + 1) if every_fold else [settings.fold]:
            changed = settings.model_copy(update={"seed": seed, "fold": fold})
            yield f"seed-{seed}-fold-{fold}", changed


def with_threads(planned: Planned, threads: int) -> Planned:
    """Let a run train so many clients at a time, unless it says itself how many."""
    own = planned.settings.threads or threads
    return replace(planned, settings=planned.settings.model_copy(update={"threads": own}))


Watch = Callable[[WatchedRun, Planned], WatchedRun]
"""Gives what watches a run, of what shows its progress."""


def execute(
    plan: Sequence[Planned],
    console: "Console",
    *,
    resume: bool = False,
    overwrite: bool = False,
    watch: Watch = lambda run, _: run,
    engines: Engines | None = None,
) -> list[dict[str, Any]]:
    """Make all runs of a plan, one after the other, and give their results in its order.

    Finished runs are taken from their folders when resuming, so that a plan that was stopped goes
    on where it was. Nothing is written, and nothing removed, before all runs can start.

    Raises
    ------
    ChorusError
        If a run cannot start or go on; those before it are kept.
    """
    corpora, results = Corpora(console), []
    engines = engines or Engines()
    works = check_all(plan, corpora, resume=resume, overwrite=overwrite)
    take(plan, resume=resume, overwrite=overwrite)
    with RunProgress(console, sum(works)) as progress:
        for planned, its_work in zip(plan, works, strict=True):
            watcher = watch(progress.run(planned.heading, its_work), planned)
            results.append(finish(planned, corpora, engines, watcher))
            watcher.end(results[-1])
    return results


def check_all(
    plan: Sequence[Planned],
    corpora: "Corpora",
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> list[float]:
    """Check that all runs of a plan can start; nothing is written, and nothing removed.

    Returns
    -------
    list of float
        The work of each run (:func:`edge_client.simulation.progress.work`).

    Raises
    ------
    ChorusError
        If one cannot start.
    """
    folders = [RunFolder(planned.folder) for planned in plan]
    if overwrite:
        removed = [path for folder in folders for path in folder.replaced]
        given = [planned.settings for planned in plan]
        read = [[file_named(own.front_end), *files_of(own).values()] for own in given]
        # Each once: runs share most of what they read.
        refuse_replacing(dict.fromkeys(chain.from_iterable(read)), removed)
    for planned, folder in zip(plan, folders, strict=True):
        folder.check(planned.settings, resume=resume, overwrite=overwrite)
        check_parts(planned.settings)
    return [_work_of(planned, corpora) for planned in plan]


def take(plan: Sequence[Planned], *, resume: bool = False, overwrite: bool = False) -> None:
    """Take the folders of all runs of a plan that can start, as :func:`.run_folder.claim_all`."""
    runs = [(RunFolder(planned.folder), planned.settings) for planned in plan]
    claim_all(runs, resume=resume, overwrite=overwrite)


def _work_of(planned: Planned, corpora: "Corpora") -> float:
    """Check that a run can start, and give its work."""
    settings = planned.settings
    try:
        examples = check_can_start(settings, corpora.get(settings))
    except ChorusError as error:
        error.problem = f"{planned.title}: {error.problem}" if planned.title else error.problem
        raise
    if private := privacy_of(settings, len(examples)):
        corpora.say(private.said)
    return work(settings, examples)


def finish(
    planned: Planned,
    corpora: "Corpora",
    engines: Engines,
    watcher: Watcher,
) -> dict[str, Any]:
    """Make a run whose folder was taken, or read its result if it was made before.

    Raises
    ------
    ChorusError
        If it cannot start or go on.
    """
    settings, folder = planned.settings, RunFolder(planned.folder)
    with folder.locked():
        # Another process may have taken the folder since.
        folder.check_own(settings)
        result = folder.read_result()
        utterances = corpora.get(settings)
        if result is None:
            workers = partial(engines.workers, settings)
            run = Run(settings, folder, utterances, engines.get(settings), workers=workers)
            return run.execute(watcher)
        _check_whole(folder, result)
        folder.check_begun_with(result, utterances.digest, digests_of_files(settings))
        folder.drop_state()
        watcher.start(settings.rounds, settings.rounds)
        return result


def _check_whole(folder: RunFolder, result: dict[str, Any]) -> None:
    """Raise :class:`RunError` if a finished run's result lacks what tables show of it."""
    if missing := [name for name in _SHOWN if name not in result]:
        raise folder.damaged(f"it has no {missing[0]}")
    try:
        summarise([result])
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise folder.damaged(reason_of(error)) from error


class Corpora:
    """Loads what runs work on, each corpus once.

    Parameters
    ----------
    console
        Where clips that cannot be used are named, and what a run costs.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._loaded: dict[tuple[Any, ...], Utterances] = {}

    def say(self, sentence: str) -> None:
        """Say something of a run before it begins."""
        self._console.print(sentence, soft_wrap=True)

    def get(self, settings: DataSettings) -> Utterances:
        """Give the utterances of a run."""
        where = tuple(getattr(settings, name) for name in _CORPUS)
        copies = (settings.augment_waveforms, settings.augment_conditions)
        if any(copies):  # other seeds vary clips in other ways
            where = (*where, *copies, settings.seed)
        if where not in self._loaded:
            shown = not self._console.quiet
            self._loaded[where] = load_utterances(settings, progress=shown)
            tell_skipped(self._loaded[where].skipped, self._console)
        return self._loaded[where]
