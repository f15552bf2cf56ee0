"""A picture of how often answers were right, by how sure the model was of them."""

from pathlib import Path
from typing import Final

import numpy as np

from edge_client.device.settings import UNSURE_BELOW
from shared.model_notes.calibration import BINS, Reliability
from shared.pictures.drawing import (
    LINE_COLOURS,
    make_axes,
    make_figure,
    percents,
    save_figure,
)

_LEAST: Final = 10
"""Bins of fewer answers are drawn pale: their share is mostly chance."""


def draw_reliability(reliability: Reliability, path: Path) -> None:
    """Draw the share of right answers in each bin of probability, with their number above.

    Bars that end on the diagonal are as often right as they should be.

    Parameters
    ----------
    reliability
        Of a test.
    path
        The PNG to write.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    figure = make_figure(5, 4.6)
    axes = make_axes(figure, "Probability of the answer", "Answers that were right")
    answers = np.array(reliability.answers)
    shares = np.array(reliability.right) / np.maximum(answers, 1)
    middles = (np.arange(BINS) + 0.5) / BINS
    bars = axes.bar(middles, shares, 0.9 / BINS, color=LINE_COLOURS[0], zorder=2)
    for bar, count, middle, share in zip(bars, answers, middles, shares, strict=True):
        bar.set_alpha(1.0 if count >= _LEAST else 0.35)
        if count:
            text = axes.text(middle, share + 0.015, f"{count:,}", ha="center", va="bottom")
            text.set(fontsize=8, zorder=4, bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5})
    axes.plot([0, 1], [0, 1], color=LINE_COLOURS[1], linewidth=1.4, zorder=3)
    axes.axvline(UNSURE_BELOW, color=LINE_COLOURS[4], linewidth=1, linestyle=(0, (4, 3)))
    axes.text(UNSURE_BELOW - 0.01, 1.02, "unsure", ha="right", fontsize=9, color=LINE_COLOURS[4])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.08)
    axes.xaxis.set_major_formatter(percents())
    axes.yaxis.set_major_formatter(percents())
    axes.set_title(
        f"{answers.sum():,} answers; expected calibration error {reliability.error:.3f}",
        fontsize=11,
    )
    save_figure(figure, path)
