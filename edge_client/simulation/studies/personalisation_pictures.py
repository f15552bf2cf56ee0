"""Pictures of how recognition grows: with one user's corrections, or with speakers that join."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.pictures.drawing import (
    draw_mean,
    make_axes,
    make_figure,
    percents,
    save_figure,
)


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
        mean = np.nanmean(curve.y, axis=0)
        spread = np.nanstd(curve.y, axis=0, ddof=1) if len(curve.y) > 1 else None
        draw_mean(axes, curve.x, mean, spread, index, curve.label)
    axes.set_xticks(curves[0].x)
    axes.yaxis.set_major_formatter(percents())
    if len(curves) > 1:
        axes.legend(frameon=False, loc="best")
    save_figure(figure, path)
