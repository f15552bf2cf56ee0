"""Pictures of several runs: how training went, with bands, and what each group reached."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.reliability_picture import draw_reliability
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.studies.comparison import Group
from edge_client.simulation.study import Planned
from shared.metrics import Scores
from shared.model_notes.calibration import Reliability
from shared.pictures.confusion import draw_confusion
from shared.pictures.drawing import (
    colour_of,
    draw_mean,
    make_axes,
    make_figure,
    make_round_axes,
    mark_chance,
    mark_unvalidated,
    save_figure,
    style_shares,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS: Final = 3


def draw_rounds(groups: Sequence[Group], *paths: Path) -> None:
    """Draw loss and validation UAR over the rounds: means of runs, bands of their deviation.

    Parameters
    ----------
    groups
        Each a line; of runs that keep no rounds (``rounds.csv``) there is none.
    paths
        Where to write the picture; a suffix says of which kind.

    Raises
    ------
    StorageError
        If it cannot be written.
    RunError
        If a table of rounds is damaged.
    """
    rows = -(-len(groups) // _COLUMNS)
    figure = make_figure(9, 3.8 + 0.25 * rows)
    left, right = make_round_axes(figure, "Training loss (nats)")
    for index, group in enumerate(groups):
        folders = map(RunFolder, group.folders)
        histories = [folder.read_rounds() for folder in folders if folder.rounds.exists()]
        for axes, key in ((left, "loss"), (right, "validation_uar")):
            _curve(axes, [own[key] for own in histories], index, group.name)
    if right.lines:
        mark_chance(right, 1 / len(groups[0].results[0]["confusion"]))
    else:
        mark_unvalidated(right)
    if len(groups) > 1 and left.lines:
        handles = left.get_legend_handles_labels()
        columns = min(len(groups), _COLUMNS)
        figure.legend(*handles, loc="outside upper center", ncols=columns, frameon=False)
    if any(len(group.folders) > 1 for group in groups):
        left.set_title("mean over runs, ± one standard deviation", fontsize=10)
    save_figure(figure, *paths)


def draw_together(
    out: RunFolder,
    plan: Sequence[Planned],
    results: Sequence[dict[str, Any]],
    summary: Mapping[str, Any],
) -> None:
    """Draw the runs of several seeds and folds in one, as each has its own pictures.

    Parameters
    ----------
    out
        Where the pictures go.
    plan, results
        The runs, and what they came to.
    summary
        Of them all (:func:`edge_client.simulation.summary.summarise`).

    Raises
    ------
    StorageError
        If one cannot be written.
    """
    draw_rounds([Group("", tuple(one.folder for one in plan), tuple(results))], out.history)
    counts = np.array(summary["confusion"])
    draw_confusion(Scores.from_confusion(counts, summary["labels"]), out.confusion)
    if relied := summary.get("reliability"):
        draw_reliability(Reliability.from_dict(relied), out.reliability)


def _curve(axes: "Axes", runs: Sequence[NDArray[np.float64]], index: int, label: str) -> None:
    """Draw a line of means with a band."""
    if not runs:
        return
    length = min(map(len, runs))
    values = np.array([own[:length] for own in runs])
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else None
    draw_mean(axes, range(1, length + 1), values.mean(axis=0), spread, index, label)


def draw_scores(cells: Sequence[dict[str, Any]], metric: str, title: str, *paths: Path) -> None:
    """Draw what each group reached on the test: mean, deviation over seeds, a dot a run.

    Parameters
    ----------
    cells
        As :func:`edge_client.simulation.studies.comparison.compare` gives them.
    metric, title
        The score, and what it is called.
    paths
        Where to write the picture; a suffix says of which kind.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    figure = make_figure(7, 1.3 + 0.4 * len(cells))
    axes = make_axes(figure, f"{title} on the test", "")
    places = np.arange(len(cells))
    colours = list(map(colour_of, range(len(cells))))
    axes.barh(places, [cell["mean"][metric] for cell in cells], 0.7, color=colours, alpha=0.75)
    for place, cell in zip(places.tolist(), cells, strict=True):
        each = [run[metric] for run in cell["each_run"]]
        if len(each) > 1:
            axes.plot(each, [place] * len(each), ".", color="black", markersize=4, zorder=3)
        if cell["std"][metric] is not None:
            axes.errorbar(
                cell["mean"][metric], place, xerr=cell["std"][metric], color="black", capsize=3
            )
    axes.set_yticks(places, [cell["name"] for cell in cells])
    style_shares(axes)
    notes = ["dots: runs"] if any(cell["runs"] > 1 for cell in cells) else []
    if any(cell["std"][metric] is not None for cell in cells):
        notes.append("lines: one standard deviation over seeds")
    axes.set_title("; ".join(notes), fontsize=10)
    save_figure(figure, *paths)
