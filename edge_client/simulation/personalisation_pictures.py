"""Pictures of how recognition grows: with one user's corrections, or with speakers that join."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_client.simulation.drawing import (
    LINE_COLOURS,
    draw_line,
    make_axes,
    make_figure,
    percents,
    save_figure,
)

_MARKERS = "osD^v"


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a picture.

    Attributes
    ----------
    label
        What the legend calls it; nothing for a lone line.
    x
        Shape ``(n,)``.
    y
        Shape ``(samples, n)``: each sample is one user, or one run; NaN where it has no value.
    """

    label: str
    x: Sequence[int]
    y: NDArray[np.float64]


def draw_curves(curves: Sequence[Curve], path: Path, x_label: str, y_label: str) -> None:
    """Draw lines of means, each with a band of one standard deviation over its samples.

    Raises
    ------
    StorageError
        If the PNG cannot be written.
    """
    figure = make_figure(7, 4.4)
    axes = make_axes(figure, x_label, y_label)
    for index, curve in enumerate(curves):
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        mean = np.nanmean(curve.y, axis=0)
        draw_line(axes, curve.x, mean, colour, _MARKERS[index % len(_MARKERS)], curve.label)
        if len(curve.y) > 1:
            spread = np.nanstd(curve.y, axis=0, ddof=1)
            band = (mean - spread, mean + spread)
            axes.fill_between(curve.x, *band, color=colour, alpha=0.12, linewidth=0)
    axes.set_xticks(curves[0].x)
    axes.yaxis.set_major_formatter(percents())
    if len(curves) > 1:
        axes.legend(frameon=False, loc="best")
    save_figure(figure, path)
