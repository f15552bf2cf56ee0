"""A federation that grows: speakers join one after the other; others are only tested on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_client.simulation.data import Utterances, load_utterances, split
from edge_client.simulation.experiments import Cell, Collect
from edge_client.simulation.personalisation_pictures import Curve, draw_curves
from edge_client.simulation.presets import preset_for
from edge_client.simulation.progress import RunProgress, work
from edge_client.simulation.report import spread
from edge_client.simulation.run import Run, check_can_start
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.study import Engines, Planned
from shared.errors import SettingsError
from shared.randomness import stream

if TYPE_CHECKING:
    from rich.console import Console

COUNTS: Final = (1, 2, 4, 8, 12, 16, 20)
"""Numbers of speakers that take part; RAVDESS has twenty outside each of its six folds."""


def plan_newcomers(
    collect: Collect, preset: str, out: Path, counts: Sequence[int], seeds: int
) -> list[Cell]:
    """Plan the runs: for each number of speakers, each seed and fold.

    Parameters
    ----------
    collect
        Completes the settings with those of the command line.
    preset
        ``paper`` or ``best``.
    out
        Folder of the experiment.
    counts
        Numbers of speakers that take part.
    seeds
        Runs a number and fold.

    Raises
    ------
    SettingsError
        If there is no such preset, or a number is below 1.
    """
    settings = collect(preset_for(preset, "speaker"))
    if min(counts, default=0) < 1:
        raise SettingsError("Numbers of speakers should be 1 or more.", "Give --counts 1,4,16.")
    # The fold's speakers are cut off here, as a foreign test; the paper's protocol then trains on
    # all that is left, however few speakers it has.
    fixed = {"partition": "speaker", "protocol": "paper", "validation": False, "baseline": False}
    cells = []
    for count in sorted(set(counts)):
        plan = []
        for seed in range(settings.seed, settings.seed + seeds):
            for fold in range(1, settings.folds + 1):
                own = {**fixed, "clients": count, "seed": seed, "fold": fold}
                name = f"seed-{seed}-fold-{fold}"
                folder = out / f"{settings.model}-{count}" / name
                title = f"{count} speakers {name}"
                plan.append(Planned(folder, settings.model_copy(update=own), title))
        cells.append(Cell(settings.model, str(count), tuple(plan)))
    return cells


def joined(utterances: Utterances, settings: SimulationSettings) -> Utterances:
    """Select the speakers that have joined by now, and behind them those to test on.

    Each seed and fold has one order of speakers, so that more speakers are always the fewer, and
    some others.

    Parameters
    ----------
    utterances
        A whole corpus.
    settings
        ``clients`` is how many have joined, ``fold`` who is tested on.

    Raises
    ------
    SettingsError
        If there are not so many speakers.
    """
    parts = split(utterances, settings.model_copy(update={"protocol": "speakers"}))
    speakers = utterances.speakers[parts.train]
    names = np.unique(speakers)
    count = settings.clients or len(names)
    if count > len(names):
        raise SettingsError(
            f"{count} speakers cannot join: there are {len(names)} outside fold {settings.fold}.",
            "Give smaller --counts, or more --folds.",
        )
    order = stream(settings.seed, "joining", settings.fold).permutation(names)
    where = np.concatenate([parts.train[np.isin(speakers, order[:count])], parts.test])
    chosen = utterances.take(where)
    return Utterances(chosen.examples, chosen.speakers, chosen.skipped, foreign=len(parts.test))


def execute_newcomers(
    cells: Sequence[Cell], console: "Console", *, overwrite: bool
) -> list[dict[str, Any]]:
    """Make all runs but those that are finished, and summarise each number of speakers.

    Returns
    -------
    list of dict
        For each cell what :func:`edge_client.simulation.study.summarise` gives, and ``runs_uar``:
        the UAR of each of its runs.

    Raises
    ------
    ChorusError
        If a run cannot start or go on; those before it are kept.
    """
    plan = [planned for cell in cells for planned in cell.plan]
    utterances = load_utterances(plan[0].settings)
    for planned in plan:
        RunFolder(planned.folder).check(planned.settings, resume=not overwrite, overwrite=overwrite)
        check_can_start(planned.settings, joined(utterances, planned.settings))
    for planned in plan:
        RunFolder(planned.folder).claim(planned.settings, overwrite=overwrite)
    engines, summaries = Engines(), []
    with RunProgress(console, sum(work(planned.settings, 0) for planned in plan)) as progress:
        for cell in cells:
            results = [_run(planned, utterances, engines, progress) for planned in cell.plan]
            uars = [result["uar"] for result in results]
            summaries.append({**cell.summary(results), "runs_uar": uars})
    return summaries


def _run(
    planned: Planned, utterances: Utterances, engines: Engines, progress: RunProgress
) -> dict[str, Any]:
    progress.run(f"{planned.title}  ", work(planned.settings, 0))
    folder = RunFolder(planned.folder)
    if (result := folder.read_result()) is not None:
        progress.skip_run()
        return result
    own = joined(utterances, planned.settings)
    return Run(planned.settings, folder, own, engines.get(planned.settings)).execute(progress)


def rows_of_newcomers(summaries: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Lay out a table: a row a number of speakers; the first row is the header."""
    rows = [
        ["speakers that took part", "UAR", "accuracy", "macro-F1", "UAR, lowest to highest run"]
    ]
    for summary in summaries:
        mean, std, runs = summary["mean"], summary["std"], summary["runs_uar"]
        scores = [spread(mean[name], std[name]) for name in ("uar", "accuracy", "macro_f1")]
        rows.append([summary["column"], *scores, f"{min(runs):.3f} to {max(runs):.3f}"])
    return rows


def draw_newcomers(summaries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the UAR on speakers nobody has heard against the number of those that took part."""
    uar = np.array([summary["runs_uar"] for summary in summaries]).T
    curve = Curve("", [int(summary["column"]) for summary in summaries], uar)
    draw_curves([curve], path, "Speakers that took part", "UAR on speakers nobody has heard")
