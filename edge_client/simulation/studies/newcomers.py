"""A federation that grows: speakers join one after the other; others are only tested on."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_client.simulation.presets import preset_for
from edge_client.simulation.report import spread
from edge_client.simulation.studies.experiments import Cell, Collect, settings_of_cell
from edge_client.simulation.studies.personalisation_pictures import Curve, draw_curves
from edge_client.simulation.studies.pretrained_file import check_begins_unheard
from edge_client.simulation.study import Planned, execute
from shared.errors import SettingsError

if TYPE_CHECKING:
    from rich.console import Console


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
        If there is no such preset, a number is below 1, or a setting contradicts the experiment.
    """
    if min(counts, default=0) < 1:
        raise SettingsError("Numbers of speakers should be 1 or more.", "Give --counts 1,4,16.")
    fixed = {
        "partition": "speaker",
        "baseline": False,
        "protocol": "speakers",
        "test_corpus": None,
        "validation": False,
        "training_speakers": None,
    }
    cells = []
    for count in sorted(set(counts)):
        own = {**fixed, "clients": count}
        settings = settings_of_cell(collect, preset_for(preset, "speaker"), own)
        check_begins_unheard(settings)
        plan = []
        for seed in range(settings.seed, settings.seed + seeds):
            for fold in range(1, settings.folds + 1):
                name = f"seed-{seed}-fold-{fold}"
                folder = out / f"{settings.model}-{count}" / name
                changed = settings.model_copy(
                    update={"seed": seed, "fold": fold, "training_speakers": count}
                )
                plan.append(Planned(folder, changed, f"{count} speakers {name}"))
        cells.append(Cell(settings.model, str(count), tuple(plan)))
    return cells


def execute_newcomers(
    cells: Sequence[Cell], console: "Console", *, overwrite: bool
) -> list[dict[str, Any]]:
    """Make all runs but those that are finished, and summarise each number of speakers.

    Returns
    -------
    list of dict
        For each cell what :func:`edge_client.simulation.summary.summarise` gives, and ``runs_uar``:
        the UAR of each of its runs.

    Raises
    ------
    ChorusError
        If a run cannot start or go on; those before it are kept.
    """
    plan = [planned for cell in cells for planned in cell.plan]
    made = execute(plan, console, resume=not overwrite, overwrite=overwrite)
    results, summaries = iter(made), []
    for cell in cells:
        own = list(islice(results, len(cell.plan)))
        summaries.append({**cell.summary(own), "runs_uar": [result["uar"] for result in own]})
    return summaries


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
