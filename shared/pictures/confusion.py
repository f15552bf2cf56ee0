"""The picture of what was recognised as what."""

from pathlib import Path
from typing import Final

import numpy as np

from shared.metrics import Scores
from shared.pictures.drawing import INK, make_axes, make_figure, save_figure

_CELLS: Final = 4
"""More labels than this make a larger picture of their confusion."""


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
    names = list(scores.classes)
    side = 5 + 0.8 * max(0, len(names) - _CELLS)
    figure = make_figure(side, side)
    axes = make_axes(figure, "Predicted", "True label")
    axes.imshow(shares, cmap="Blues", vmin=-0.08, vmax=1)  # 0 % is not quite white
    places = range(len(names))
    axes.set_xticks(places, names, rotation=0 if len(names) <= _CELLS else 45)
    axes.set_yticks(places, names)
    axes.grid(visible=False)
    edges, end = np.arange(0.5, len(names) - 1), len(names) - 0.5
    axes.hlines(edges, -0.5, end, color="white", linewidth=2)
    axes.vlines(edges, -0.5, end, color="white", linewidth=2)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for row in places:
        for column in places:
            share, count = shares[row, column], counts[row, column]
            colour = "white" if share > 0.5 else INK  # noqa: PLR2004 -- half of the scale
            percent = f"{share:.0%}" if counts[row].any() else "-"
            axes.text(column, row - 0.08, percent, ha="center", color=colour, fontsize=14)
            axes.text(column, row + 0.24, f"{count:,}", ha="center", color=colour, fontsize=9)
    axes.set_title(
        f"UAR {scores.uar:.1%}   accuracy {scores.accuracy:.1%}   macro-F1 {scores.macro_f1:.3f}",
        fontsize=11,
        pad=12,
    )
    save_figure(figure, path)
