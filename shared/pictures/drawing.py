"""What all pictures have in common: their look, lines, axes and files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.storage.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_COLOURS: Final = ("#1f5a96", "#c1440e", "#2a9d8f", "#8e5ea2", "#b8860b")
"""Of lines, in their order."""

_MARKERS: Final = "osD^v"
"""Of lines, in their order."""

INK: Final = "#2b2f33"
"""The colour of words, ticks and marks."""

_GRID: Final = "#dfe3e6"


def colour_of(index: int) -> str:
    """Give the colour of a line or bar by its place; after the last they come again."""
    return LINE_COLOURS[index % len(LINE_COLOURS)]


def draw_line(
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


def draw_mean(
    axes: "Axes",
    x: Sequence[int],
    mean: NDArray[np.float64],
    spread: NDArray[np.float64] | None,
    index: int,
    label: str,
) -> None:
    """Draw the line of means at this place, with a band of so much to both sides if given."""
    colour = colour_of(index)
    draw_line(axes, x, mean, colour, _MARKERS[index % len(_MARKERS)], label)
    if spread is not None:
        axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)


def mark_chance(axes: "Axes", chance: float) -> None:
    """Mark what guessing would reach."""
    axes.axhline(chance, color=INK, linewidth=1, linestyle=(0, (4, 3)), alpha=0.6)
    label = axes.text(0.99, chance + 0.01, "chance", transform=axes.get_yaxis_transform())
    label.set(ha="right", va="bottom", color=INK, fontsize=9)


def number_in_whole(axes: "Axes") -> None:
    """Let the x axis have whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def percents() -> Any:
    """Give what writes an axis' shares in percent."""
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1, decimals=0)


def make_figure(width: float, height: float) -> "Figure":
    """Make an empty picture of so many inches."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    margins = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)  # inches
    return Figure((width, height), dpi=150, layout=margins)


def make_axes(figure: "Figure", x_label: str, y_label: str) -> "Axes":
    """Give a picture its only axes."""
    axes = figure.subplots()
    style_axes(axes, x_label, y_label)
    return axes


def make_round_axes(figure: "Figure", loss: str) -> "tuple[Axes, Axes]":
    """Give a picture axes for the loss, called so, and for the validation UAR over the rounds."""
    left, right = figure.subplots(1, 2)
    style_axes(left, "Round", loss)
    style_axes(right, "Round", "Validation UAR")
    right.set_ylim(0, 1)
    right.yaxis.set_major_formatter(percents())
    for axes in (left, right):
        number_in_whole(axes)
    return left, right


def mark_unvalidated(axes: "Axes") -> None:
    """Say that there is no validation UAR to show."""
    axes.text(0.5, 0.5, "no validation split", ha="center", transform=axes.transAxes)


def style_shares(axes: "Axes") -> None:
    """Let horizontal bars be shares, the first on top."""
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(percents())


def style_axes(axes: "Axes", x_label: str, y_label: str) -> None:
    """Make axes look like those of all other pictures."""
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.tick_params(colors=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def save_figure(figure: "Figure", *paths: Path) -> None:
    """Write a picture into each of some files, in the format that its name ends with.

    Raises
    ------
    StorageError
        If one cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    # Names that people give may hold a dollar sign: it begins no formula.
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    # Journals take no Type 3 fonts, which are matplotlib's own choice.
    drawn = {"pdf.fonttype": 42, "text.parse_math": False}
    for path in paths:
        with replacing(path) as aside, rc_context(drawn):
            figure.savefig(aside, format=path.suffix.removeprefix("."))
