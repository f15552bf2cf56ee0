"""Several runs that belong together: seeds, folds, the cells of an experiment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.training import Engine
from edge_client.simulation.own_model import model_of
from edge_client.simulation.progress import RunProgress, work
from edge_client.simulation.run import Run, check_can_start, check_parts
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import DataSettings, SimulationSettings
from edge_client.simulation.utterances import Utterances, load_utterances
from shared.architectures import Architecture
from shared.calibration import Reliability
from shared.metrics import Scores
from shared.tflite import physical_cores

if TYPE_CHECKING:
    from rich.console import Console

METRICS: Final = ("accuracy", "uar", "precision", "recall", "macro_f1")
"""The scores that tables show."""

_CORPUS: Final = ("labels", "front_end", "corpus", "data", "happy", "test_corpus", "test_data")
"""Settings that determine the utterances of a run."""


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


MOST_SIDE_BY_SIDE: Final = 4
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
            made.append(_make_engine(settings.engine, architecture, threads))
        return made[:count]


def _make_engine(engine: str, architecture: Architecture, threads: int) -> Engine:
    if engine == "keras":
        from edge_client.simulation.keras_engine import KerasEngine

        return KerasEngine(architecture, threads)
    from edge_client.tflite.engine import TfliteEngine

    return TfliteEngine(architecture, threads=1)


Select = Callable[[Utterances, SimulationSettings], Utterances]
"""Gives what a run works on, of the whole corpus."""


def execute(
    plan: Sequence[Planned],
    console: "Console",
    *,
    resume: bool = False,
    overwrite: bool = False,
    select: Select = lambda utterances, _: utterances,
) -> list[dict[str, Any]]:
    """Make all runs of a plan, one after the other, and give their results in its order.

    Finished runs are taken from their folders when resuming, so that a plan that was stopped goes
    on where it was. Nothing is written, and nothing removed, before all runs can start.

    Raises
    ------
    ChorusError
        If a run cannot start or go on; those before it are kept.
    """
    folders = [RunFolder(planned.folder) for planned in plan]
    for planned, folder in zip(plan, folders, strict=True):
        folder.check(planned.settings, resume=resume, overwrite=overwrite)
        check_parts(planned.settings)
    corpora = Corpora(console)
    works = []
    for planned in plan:
        examples = check_can_start(
            planned.settings, select(corpora.get(planned.settings), planned.settings)
        )
        works.append(work(planned.settings, examples))
    for planned, folder in zip(plan, folders, strict=True):
        folder.claim(planned.settings, resume=resume, overwrite=overwrite)
    results, engines = [], Engines()
    with RunProgress(console, sum(works)) as progress:
        for planned, folder, its_work in zip(plan, folders, works, strict=True):
            progress.run(f"{planned.title}  " if planned.title else "", its_work)
            with folder.locked():
                # Another process may have taken the folder since.
                folder.check_own(planned.settings)
                result = folder.read_result()
                utterances = select(corpora.get(planned.settings), planned.settings)
                if result is None:
                    running = engines.get(planned.settings)
                    result = Run(planned.settings, folder, utterances, running).execute(progress)
                else:
                    folder.check_clips(result.get("clips", ""), utterances.digest)
                    folder.drop_state()
                    progress.skip_run()
            results.append(result)
    return results


class Corpora:
    """Loads what runs work on, each corpus once.

    Parameters
    ----------
    console
        Where clips that cannot be used are named.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._loaded: dict[tuple[Any, ...], Utterances] = {}

    def get(self, settings: DataSettings) -> Utterances:
        """Give the utterances of a run."""
        where = tuple(getattr(settings, name) for name in _CORPUS)
        copies = (settings.augment_waveforms, settings.augment_conditions)
        if any(copies):  # other seeds vary clips in other ways
            where = (*where, *copies, settings.seed)
        if where not in self._loaded:
            shown = not self._console.quiet
            self._loaded[where] = load_utterances(settings, progress=shown)
            _tell_skipped(self._loaded[where], self._console)
        return self._loaded[where]


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give mean and spread over seeds of the scores of runs that differ in seed and fold only.

    The folds of one seed are pooled: their confusions are summed, so that every utterance counts
    once. The spread is the standard deviation over seeds (n - 1).

    Returns
    -------
    dict
        ``mean`` and ``std`` of each metric (``std`` is ``None`` for one seed), the UAR and its
        ``std`` for each of what may be ``known`` of a speaker, the ``reliability`` of all answers
        together, the summed ``confusion`` and its ``labels``, the ``seeds``, the seconds of all
        runs, and the bytes up of one run.
    """
    by_seed: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        by_seed.setdefault(result["seed"], []).append(result)
    labels = list(results[0]["classes"])

    def pool(runs: Sequence[dict[str, Any]]) -> NDArray[np.int64]:
        return np.asarray(sum(np.array(run["confusion"]) for run in runs), np.int64)

    pooled = [pool(runs) for runs in by_seed.values()]
    scores = [Scores.from_confusion(matrix, labels).to_dict() for matrix in pooled]
    known = {
        name: [
            Scores.from_confusion(pool([run["known"][name] for run in runs]), labels).uar
            for runs in by_seed.values()
        ]
        for name in results[0].get("known", ())  # results of a program of one's own have none
        if all(name in run.get("known", ()) for run in results)
    }
    each = {metric: [score[metric] for score in scores] for metric in METRICS}
    relied = {name: _relied([run["known"][name] for run in results]) for name in known}
    return {
        "mean": {metric: fmean(values) for metric, values in each.items()},
        "std": {metric: _deviation(values) for metric, values in each.items()},
        "each": each,
        "known": {
            name: {"uar": fmean(values), "std": _deviation(values), **relied[name]}
            for name, values in known.items()
        },
        **_relied(results),
        "labels": labels,
        "confusion": np.sum(pooled, axis=0).tolist(),
        "seeds": list(by_seed),
        "runs": len(results),
        "seconds": sum(result["seconds"] for result in results),
        "rounds": results[0]["settings"]["rounds"],
        "clients": results[0]["clients"],
        "bytes_up": sum(
            result["bytes_up_per_round"] * result["settings"]["rounds"] for result in results
        )
        // len(results),
    }


def _relied(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put together how far the answers of all runs could be relied on, where they all say it."""
    told = [result.get("reliability") for result in results]
    if not all(told):
        return {}
    first, *others = (Reliability.from_dict(own) for own in told if own)
    whole = sum(others, first)
    return {"calibration_error": whole.error, "reliability": whole.to_dict()}


def _deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _tell_skipped(utterances: Utterances, console: "Console") -> None:
    """Name the clips that could not be used."""
    for skipped in utterances.skipped:
        text = f"skipped {skipped.clip.identifier}: {skipped.reason}"
        console.print(text, soft_wrap=True, markup=False)
    if utterances.skipped:
        console.print(f"{len(utterances.skipped)} clips were skipped.")
