"""Pictures of a federation: how its rounds went, what its models take for what."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from aggregator.ledger import Counts, History, RoundRecord
from aggregator.rounds.scoring import scores_of
from shared.errors import MissingPartError
from shared.pictures.confusion import draw_confusion
from shared.pictures.drawing import (
    LINE_COLOURS,
    draw_line,
    make_figure,
    make_round_axes,
    mark_chance,
    save_figure,
)
from shared.tracking import Point

_LOSS: Final = ("round/loss", "training, on the devices", LINE_COLOURS[0], "o")
_UARS: Final = (
    ("round/uar before", "of the model before, on the devices", LINE_COLOURS[0], "o"),
    ("validation/uar", "of the new model, on the validation corpus", LINE_COLOURS[1], "s"),
)
"""Curves of :func:`~aggregator.commands.curves.tracked_run`, and how they are drawn."""


def check_can_draw() -> None:
    """Raise :class:`MissingPartError` if what draws is not installed."""
    if find_spec("matplotlib") is None:
        raise MissingPartError(
            "Pictures of a federation need matplotlib, which is not installed.",
            "Install it with: pip install 'chorus-edge[tensorboard]', or [mlflow].",
        )


def draw_federation(history: History, points: Sequence[Point], folder: Path) -> list[Path]:
    """Draw what there is to see of a federation, as PNG.

    Parameters
    ----------
    history
        Its ledger.
    points
        Its curves, as :func:`~aggregator.commands.curves.tracked_run` gives them.
    folder
        Where to write.

    Returns
    -------
    list of Path
        ``history.png`` has loss and UAR by round; ``confusion.png`` what the current model takes
        for what on the validation corpus, and ``confusion-devices.png`` what the model that the
        last round began with took for what on the devices' held-out examples. What is not known of
        every label is not drawn.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    names = history.task.names
    drawn = []
    if points:
        drawn.append(folder / "history.png")
        draw_rounds(points, 1 / len(names), drawn[-1])
    for name, counts in (
        ("confusion", _validated(history)),
        ("confusion-devices", _told(history.rounds())),
    ):
        if scores := scores_of(counts, names):
            drawn.append(folder / f"{name}.png")
            draw_confusion(scores, drawn[-1])
    return drawn


def draw_rounds(points: Sequence[Point], chance: float, path: Path) -> None:
    """Draw each round's training loss, and the UAR of the models before and after it.

    Parameters
    ----------
    points
        As of :func:`~aggregator.commands.curves.tracked_run`; one at least.
    chance
        The UAR of guessing.
    path
        The PNG to write.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    numbers = [point.step for point in points]
    figure = make_figure(9, 3.8)
    left, right = make_round_axes(figure, "Cross-entropy (nats)")
    right.set_ylabel("UAR")
    for axes, curves in ((left, (_LOSS,)), (right, _UARS)):
        for name, label, colour, marker in curves:
            values = [point.there.get(name, np.nan) for point in points]
            draw_line(axes, numbers, np.array(values, np.float64), colour, marker, label)
        for line in axes.lines:
            line.set_clip_on(False)  # a UAR of 1 is at the edge
        if axes.lines:
            axes.legend(frameon=False, fontsize=9)
    right.set_xlim(left.get_xlim())
    mark_chance(right, chance)
    save_figure(figure, path)


def _validated(history: History) -> Counts | None:
    current = history.current()
    return current.validation if current else None


def _told(rounds: Sequence[RoundRecord]) -> Counts | None:
    """Give what devices told last; rounds come the newest first."""
    return next((each.confusion for each in rounds if each.confusion), None)
