"""Pictures of a run: who held what, how training went, what was mistaken for what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.pictures.drawing import (
    INK,
    LINE_COLOURS,
    colour_of,
    draw_line,
    draw_mean,
    make_axes,
    make_figure,
    make_round_axes,
    mark_chance,
    mark_unvalidated,
    number_in_whole,
    percents,
    save_figure,
    style_axes,
    style_shares,
)
from shared.task import COLOURS, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES: Final = {
    "red": "#c1440e",
    "amber": "#f2b632",
    "grey": "#a9b4bd",
    "blue": "#1f5a96",
    "purple": "#8e5ea2",
    "green": "#4c8c3f",
    "pink": "#e58fb1",
    "teal": "#7fc4bb",
}
"""What labels' colours are here. They differ in lightness as well as in hue, so that the
colour-blind can tell those of neighbours apart."""

_HATCHES: Final = ("", "////", "....", "xxxx")
"""Beyond eight labels colours come again, with a pattern."""

_PLAIN: Final = "#7d8a94"

_BARS: Final = 60
"""More clients than this are drawn as areas."""

_LABELS: Final = 20
"""More clients than this are not all numbered."""

_LEGEND: Final = 4
"""Labels in a row of a legend."""

_COLUMNS: Final = 500
"""More clients than this are averaged in groups: there are not more columns to see."""


@dataclass(frozen=True, slots=True)
class _Paint:
    """How one column of counts is drawn."""

    label: str
    colour: str
    hatch: str = ""


def _paints(task: Task) -> list[_Paint]:
    """Give each label's."""
    return [
        _Paint(label.name, SHADES[label.colour], _HATCHES[place // len(COLOURS)])
        for place, label in enumerate(task.labels)
    ]


def draw_partition(counts: NDArray[np.int64], path: Path, task: Task) -> None:
    """Draw how many examples of each label each client holds.

    Up to 60 clients are bars. More are two areas: how many examples, the largest client first;
    and the mix of labels, clients with the same main label side by side.

    Parameters
    ----------
    counts
        Shape ``(clients, labels)``.
    path
        The PNG to write.
    task
        Whose labels.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    clients = len(counts)
    legend = 0.25 * ((len(task.labels) - 1) // _LEGEND)  # inches of its further rows
    if clients <= _BARS:
        figure = make_figure(min(11.0, 4.4 + 0.16 * clients), 4.2 + legend)
        axes = make_axes(figure, "Client", "Training examples")
        _bars(axes, counts, _paints(task))
    else:
        figure = make_figure(8, 6 + legend)
        upper, lower = figure.subplots(2, 1)
        style_axes(upper, f"{clients:,} clients, most examples first", "Training examples")
        _areas(upper, np.sort(counts.sum(axis=1))[::-1, np.newaxis], [_Paint("", _PLAIN)])
        style_axes(lower, f"{clients:,} clients, by main label", "Mix of labels")
        shares = counts / counts.sum(axis=1, keepdims=True)
        main = shares.argmax(axis=1)
        _areas(lower, shares[np.lexsort((-shares.max(axis=1), main))], _paints(task))
        lower.yaxis.set_major_formatter(percents())
    handles = figure.axes[-1].get_legend_handles_labels()
    figure.legend(
        *handles, loc="outside upper center", ncols=min(len(task.labels), _LEGEND), frameon=False
    )
    save_figure(figure, path)


def _bars(axes: "Axes", counts: NDArray[np.int64], paints: Sequence[_Paint]) -> None:
    clients = len(counts)
    places = np.arange(clients)
    bottom = np.zeros(clients, np.int64)
    for heights, paint in zip(counts.T, paints, strict=True):
        bars = axes.bar(
            places, heights, 0.8, bottom, color=paint.colour, label=paint.label, zorder=2
        )
        for bar in bars if paint.hatch else ():
            bar.set(hatch=paint.hatch, edgecolor=INK, linewidth=0)
        bottom += heights
    if clients <= _LABELS:
        axes.set_xticks(places)
    else:
        number_in_whole(axes)
    axes.set_xlim(-0.7, clients - 0.3)
    axes.set_ylim(0, 1.04 * bottom.max())


def _areas(axes: "Axes", values: NDArray[Any], paints: Sequence[_Paint]) -> None:
    """Stack the columns of ``values``, one step for each row or for a group of rows."""
    groups = np.array_split(values, min(len(values), _COLUMNS))
    heights = np.array([group.mean(axis=0) for group in groups])
    edges = np.cumsum([0, *map(len, groups)])
    steps = np.repeat(edges, 2)[1:-1]
    top = np.zeros(len(steps))
    for column, paint in zip(heights.T, paints, strict=True):
        bottom, top = top, top + np.repeat(column, 2)
        # The line of the same colour closes the gap that smoothing leaves between two areas.
        axes.fill_between(
            steps,
            bottom,
            top,
            label=paint.label,
            facecolor=paint.colour,
            edgecolor=INK if paint.hatch else paint.colour,
            linewidth=0.4,
            hatch=paint.hatch or None,
        )
    axes.set_xlim(0, len(values))
    axes.set_ylim(0, top.max())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def draw_history(rounds: Sequence[Mapping[str, Any]], path: Path, task: Task, chosen: int) -> None:
    """Draw how the loss and the validation UAR went over the rounds, and which model was kept.

    Parameters
    ----------
    rounds
        For each round a mapping with ``round``, ``loss`` and, where there is a validation split,
        ``validation_loss`` and ``validation_uar``; values may be ``None`` or NaN.
    path
        The PNG to write.
    task
        Whose labels could be guessed.
    chosen
        The round whose model is the result.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    numbers = [record["round"] for record in rounds]
    figure = make_figure(9, 3.8)
    left, right = make_round_axes(figure, "Cross-entropy (nats)")
    for key, label, colour, marker in (
        ("loss", "training, on the clients", LINE_COLOURS[0], "o"),
        ("validation_loss", "validation", LINE_COLOURS[1], "s"),
    ):
        draw_line(left, numbers, _column(rounds, key), colour, marker, label)
    uar = _column(rounds, "validation_uar")
    draw_line(right, numbers, uar, LINE_COLOURS[1], "s", "validation")
    if left.lines:
        left.legend(frameon=False)
    if np.isfinite(uar).any():
        mark_chance(right, 1 / len(task.labels))
        _mark_chosen(right, dict(zip(numbers, uar, strict=True)).get(chosen, np.nan), chosen)
    else:
        right.set_xlim(left.get_xlim())
        mark_unvalidated(right)
    save_figure(figure, path)


def _mark_chosen(axes: "Axes", uar: float, chosen: int) -> None:
    """Mark the round whose model is the result."""
    axes.axvline(chosen, color=INK, linewidth=1, alpha=0.6)
    axes.plot([chosen], [uar], "o", color=INK, markersize=9, fillstyle="none", zorder=3)
    axes.set_title(f"kept: the model of round {chosen}, {uar:.1%}", fontsize=11)


def draw_sweep(results: Sequence[Mapping[str, Any]], path: Path, note: str = "") -> None:
    """Draw macro-F1 against the number of clients, one line for each model.

    Parameters
    ----------
    results
        For each run a mapping with ``model``, ``clients`` and ``macro_f1``; runs that differ in
        nothing but their seed become a mean with its standard deviation.
    path
        The PNG to write.
    note
        What has to be known of the clients.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    figure = make_figure(7, 4.4)
    axes = make_axes(figure, f"Clients ({note})" if note else "Clients", "Macro-F1 on the test")
    models = list(dict.fromkeys(result["model"] for result in results))
    for index, model in enumerate(models):
        runs: dict[int, list[float]] = {}
        for result in results:
            if result["model"] == model:
                runs.setdefault(result["clients"], []).append(result["macro_f1"])
        clients = sorted(runs)
        mean = np.array([np.mean(runs[k]) for k in clients])
        spread = np.array([np.std(runs[k], ddof=1) if len(runs[k]) > 1 else 0.0 for k in clients])
        draw_mean(axes, clients, mean, spread if spread.any() else None, index, model)
        for k in clients if spread.any() else ():
            dots = axes.plot([k] * len(runs[k]), runs[k], ".", color=colour_of(index))
            dots[0].set(alpha=0.5, markersize=4)
    axes.set_ylim(0, 1)
    number_in_whole(axes)
    if len(results) > len({(result["model"], result["clients"]) for result in results}):
        axes.set_title("mean over seeds, ± one standard deviation; dots: runs", fontsize=10)
    if models:
        axes.legend(frameon=False, ncols=len(models), loc="best")
    save_figure(figure, path)


def draw_bars(bars: Mapping[str, float], path: Path, x_label: str, chance: float) -> None:
    """Draw a bar for each of some shares, the first on top and the measure of the others.

    Raises
    ------
    StorageError
        If the PNG cannot be written.
    """
    figure = make_figure(7, 1.2 + 0.22 * len(bars))
    axes = make_axes(figure, x_label, "")
    first, *rest = bars.values()
    axes.barh(list(bars), [first, *rest], color=[INK, *[LINE_COLOURS[0]] * len(rest)], height=0.7)
    for share in (first, chance):
        axes.axvline(share, color=INK, linewidth=1, linestyle=(0, (4, 3)), alpha=0.6)
    style_shares(axes)
    save_figure(figure, path)


def _column(rounds: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    values = [record.get(key) for record in rounds]
    return np.array([np.nan if value is None else value for value in values], np.float64)
