"""Pictures of a run: who held what, how training went, what was mistaken for what."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.emotions import EMOTIONS, Emotion
from shared.files import replacing
from shared.metrics import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EMOTION_COLOURS: Final[dict[Emotion, str]] = {
    "angry": "#c1440e",
    "happy": "#f2b632",
    "neutral": "#a9b4bd",
    "sad": "#1f5a96",
}
"""They differ in lightness as well as in hue, so that the colour-blind can tell them apart."""

LINE_COLOURS: Final = ("#1f5a96", "#c1440e", "#2a9d8f", "#8e5ea2", "#b8860b")
_LINE_MARKERS: Final = "osD^v"
_INK: Final = "#2b2f33"
_GRID: Final = "#dfe3e6"
_PLAIN: Final = "#7d8a94"

_BARS: Final = 60
"""More clients than this are drawn as areas."""

_LABELS: Final = 20
"""More clients than this are not all numbered."""

_COLUMNS: Final = 500
"""More clients than this are averaged in groups: there are not more columns to see."""


def draw_partition(counts: NDArray[np.int64], path: Path) -> None:
    """Draw how many examples of each emotion each client holds.

    Up to 60 clients are bars. More are two areas: how many examples, the largest client first;
    and the mix of emotions, clients with the same main emotion side by side.

    Parameters
    ----------
    counts
        Shape ``(clients, 4)``.
    path
        The PNG to write.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    clients = len(counts)
    if clients <= _BARS:
        figure = _figure(min(11.0, 4.4 + 0.16 * clients), 4.2)
        axes = _axes(figure, "Client", "Training examples")
        _bars(axes, counts)
    else:
        figure = _figure(8, 6)
        upper, lower = figure.subplots(2, 1)
        _style(upper, f"{clients:,} clients, most examples first", "Training examples")
        _areas(upper, np.sort(counts.sum(axis=1))[::-1, np.newaxis], {"": _PLAIN})
        _style(lower, f"{clients:,} clients, by main emotion", "Mix of emotions")
        shares = counts / counts.sum(axis=1, keepdims=True)
        main = shares.argmax(axis=1)
        _areas(lower, shares[np.lexsort((-shares.max(axis=1), main))], EMOTION_COLOURS)
        lower.yaxis.set_major_formatter(_percent())
    handles = figure.axes[-1].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=len(EMOTIONS), frameon=False)
    _save(figure, path)


def _bars(axes: "Axes", counts: NDArray[np.int64]) -> None:
    clients = len(counts)
    places = np.arange(clients)
    bottom = np.zeros(clients, np.int64)
    for column, (emotion, colour) in enumerate(EMOTION_COLOURS.items()):
        heights = counts[:, column]
        axes.bar(places, heights, 0.8, bottom, color=colour, label=emotion, zorder=2)
        bottom += heights
    if clients <= _LABELS:
        axes.set_xticks(places)
    else:
        _whole_numbers(axes)
    axes.set_xlim(-0.7, clients - 0.3)
    axes.set_ylim(0, 1.04 * bottom.max())


def _areas(axes: "Axes", values: NDArray[Any], colours: Mapping[Any, str]) -> None:
    """Stack the columns of ``values``, one step for each row or for a group of rows.

    ``colours`` gives each column's colour by its label.
    """
    groups = np.array_split(values, min(len(values), _COLUMNS))
    heights = np.array([group.mean(axis=0) for group in groups])
    edges = np.cumsum([0, *map(len, groups)])
    steps = np.repeat(edges, 2)[1:-1]
    top = np.zeros(len(steps))
    for column, (label, colour) in enumerate(colours.items()):
        bottom, top = top, top + np.repeat(heights[:, column], 2)
        # The line of the same colour closes the gap that smoothing leaves between two areas.
        axes.fill_between(
            steps, bottom, top, color=colour, label=label, linewidth=0.4, edgecolor=colour
        )
    axes.set_xlim(0, len(values))
    axes.set_ylim(0, top.max())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def draw_confusion(scores: Scores, path: Path) -> None:
    """Draw a confusion matrix: shares of each row in colour and in percent, counts below.

    Parameters
    ----------
    scores
        Of a recogniser.
    path
        The PNG to write.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    counts = np.array(scores.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure(5, 5)
    axes = _axes(figure, "Predicted", "True label")
    axes.imshow(shares, cmap="Blues", vmin=-0.08, vmax=1)  # 0 % is not quite white
    places = range(len(EMOTIONS))
    axes.set_xticks(places, EMOTIONS)
    axes.set_yticks(places, EMOTIONS)
    axes.grid(visible=False)
    axes.hlines(np.arange(0.5, 3), -0.5, 3.5, color="white", linewidth=2)
    axes.vlines(np.arange(0.5, 3), -0.5, 3.5, color="white", linewidth=2)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row in places:
        for column in places:
            share, count = shares[row, column], counts[row, column]
            colour = "white" if share > 0.5 else _INK  # noqa: PLR2004 -- half of the scale
            percent = f"{share:.0%}" if counts[row].any() else "-"
            axes.text(column, row - 0.08, percent, ha="center", color=colour, fontsize=14)
            axes.text(column, row + 0.24, f"{count:,}", ha="center", color=colour, fontsize=9)
    axes.set_title(
        f"UAR {scores.uar:.1%}   accuracy {scores.accuracy:.1%}   macro-F1 {scores.macro_f1:.3f}",
        fontsize=11,
        pad=12,
    )
    _save(figure, path)


def draw_history(rounds: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw how the loss and the validation UAR went over the rounds.

    Parameters
    ----------
    rounds
        For each round a mapping with ``round``, ``loss`` and, where there is a validation split,
        ``validation_loss`` and ``validation_uar``; values may be ``None`` or NaN.
    path
        The PNG to write.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    numbers = [record["round"] for record in rounds]
    figure = _figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    _style(left, "Round", "Cross-entropy (nats)")
    _style(right, "Round", "Validation UAR")
    for key, label, colour, marker in (
        ("loss", "training, on the clients", LINE_COLOURS[0], "o"),
        ("validation_loss", "validation", LINE_COLOURS[1], "s"),
    ):
        _line(left, numbers, _column(rounds, key), colour, marker, label)
    uar = _column(rounds, "validation_uar")
    _line(right, numbers, uar, LINE_COLOURS[1], "s", "validation")
    if left.lines:
        left.legend(frameon=False)
    if np.isfinite(uar).any():
        _chance(right)
        best = int(np.nanargmax(uar))
        right.set_title(f"best {uar[best]:.1%} in round {numbers[best]}", fontsize=11)
    else:
        right.set_xlim(left.get_xlim())
        right.text(0.5, 0.5, "no validation split", ha="center", transform=right.transAxes)
    right.set_ylim(0, 1)
    right.yaxis.set_major_formatter(_percent())
    for axes in (left, right):
        _whole_numbers(axes)
    _save(figure, path)


def draw_sweep(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw macro-F1 against the number of clients, one line for each model.

    Parameters
    ----------
    results
        For each run a mapping with ``model``, ``clients`` and ``macro_f1``; runs that differ in
        nothing but their seed become a mean with its standard deviation.
    path
        The PNG to write.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    figure = _figure(7, 4.4)
    axes = _axes(figure, "Clients", "Macro-F1 on the test")
    models = list(dict.fromkeys(result["model"] for result in results))
    for index, model in enumerate(models):
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        runs: dict[int, list[float]] = {}
        for result in results:
            if result["model"] == model:
                runs.setdefault(result["clients"], []).append(result["macro_f1"])
        clients = sorted(runs)
        mean = np.array([np.mean(runs[k]) for k in clients])
        spread = np.array([np.std(runs[k], ddof=1) if len(runs[k]) > 1 else 0.0 for k in clients])
        _line(axes, clients, mean, colour, _LINE_MARKERS[index % len(_LINE_MARKERS)], model)
        if spread.any():
            axes.fill_between(
                clients, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0
            )
            for k in clients:
                axes.plot([k] * len(runs[k]), runs[k], ".", color=colour, alpha=0.5, markersize=4)
    axes.set_ylim(0, 1)
    _whole_numbers(axes)
    if len(results) > len({(result["model"], result["clients"]) for result in results}):
        axes.set_title("mean over seeds, ± one standard deviation; dots: runs", fontsize=10)
    if models:
        axes.legend(frameon=False, ncols=len(models), loc="best")
    _save(figure, path)


def _column(rounds: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    values = [record.get(key) for record in rounds]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _line(
    axes: "Axes", x: Sequence[int], y: NDArray[np.float64], colour: str, marker: str, label: str
) -> None:
    """Draw a line through the values that are there."""
    there = np.isfinite(y)
    if there.any():
        dense = len(x) > 40  # noqa: PLR2004 -- markers would touch
        axes.plot(
            np.asarray(x)[there],
            y[there],
            color=colour,
            marker="" if dense and there.sum() > 1 else marker,
            markersize=5,
            linewidth=1.8,
            label=label,
        )


def _chance(axes: "Axes") -> None:
    """Mark what guessing would reach."""
    chance = 1 / len(EMOTIONS)
    axes.axhline(chance, color=_INK, linewidth=1, linestyle=(0, (4, 3)), alpha=0.6)
    label = axes.text(0.99, chance + 0.01, "chance", transform=axes.get_yaxis_transform())
    label.set(ha="right", va="bottom", color=_INK, fontsize=9)


def _whole_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1, decimals=0)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    margins = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)  # inches
    return Figure((width, height), dpi=150, layout=margins)


def _axes(figure: "Figure", x_label: str, y_label: str) -> "Axes":
    axes = figure.subplots()
    _style(axes, x_label, y_label)
    return axes


def _style(axes: "Axes", x_label: str, y_label: str) -> None:
    """Make axes look like those of all other pictures."""
    axes.set_xlabel(x_label, color=_INK)
    axes.set_ylabel(y_label, color=_INK)
    axes.tick_params(colors=_INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _save(figure: "Figure", path: Path) -> None:
    with replacing(path) as aside:
        figure.savefig(aside, format="png")
