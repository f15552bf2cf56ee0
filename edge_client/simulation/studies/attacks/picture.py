"""The picture of what attacks gain: a panel an attack, a bar a defence."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge_client.simulation.studies.attacks.study import COLUMNS
from edge_client.simulation.studies.attacks.victims import CHANCE, Row
from shared.pictures.drawing import (
    INK,
    LINE_COLOURS,
    make_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_attacks(found: Mapping[str, Mapping[str, Row]], path: Path) -> None:
    """Draw what attacks gain through each defence; a dashed line is what guessing gains.

    Parameters
    ----------
    found
        By kind and defence, as :func:`.study.measure` gives it.
    path
        Of the PNG.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    panels = [
        (kind, key)
        for kind, gained in found.items()
        for key in list(COLUMNS[kind])[: 4 if kind == "inferences" else 1]
        if gained[CHANCE].get(key) is not None
    ]
    figure = make_figure(2.4 + 2.3 * len(panels), 4.2)
    names = list(dict.fromkeys(name for gained in found.values() for name in gained))
    names.remove(CHANCE)
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (kind, key) in zip(every, panels, strict=True):
        _draw_panel(axes, names, found[kind], kind, key)
    every[0].invert_yaxis()
    every[-1].set_xlabel("dashed: guessing", color=INK)
    save_figure(figure, path)


def _draw_panel(
    axes: "Axes", names: list[str], gained: Mapping[str, Row], kind: str, key: str
) -> None:
    """Draw one attack."""
    style_axes(axes, "", "")
    axes.set_title(COLUMNS[kind][key], color=INK, fontsize=10)
    for place, name in enumerate(names):
        value = gained.get(name, {}).get(key)
        if value is None:  # else it would look as if nothing were gained
            label = axes.text(0.02, place, "not measured", color=INK, fontsize=8, va="center")
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
            continue
        colour = INK if place == 0 else LINE_COLOURS[0]
        axes.barh(place, max(value, 0), color=colour, height=0.7)
    chance = gained[CHANCE][key]
    if chance is not None:
        axes.axvline(chance, color=LINE_COLOURS[1], linewidth=1.4, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
