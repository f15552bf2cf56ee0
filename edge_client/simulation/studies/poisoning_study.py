"""How strategies stand what dishonest clients do: each strategy under each attack."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge_client.simulation.presets import preset_for
from edge_client.simulation.report import spread
from edge_client.simulation.studies.experiments import Collect, settings_of_cell
from edge_client.simulation.studies.pretrained_file import check_begins_unheard
from edge_client.simulation.study import Planned, execute
from edge_client.simulation.summary import summarise
from shared.pictures.drawing import (
    colour_of,
    make_axes,
    make_figure,
    mark_chance,
    percents,
    save_figure,
)
from shared.round_settings import RoundSettings

if TYPE_CHECKING:
    from rich.console import Console

_BOUNDS: Final = ("bound_norm", "bound_weight")

UNBOUNDED: Final = "fedavg-unbounded"
"""FedAvg without bounds on what one client can do, to compare with."""

BOUNDS: Final = {name: RoundSettings.model_fields[name].default for name in _BOUNDS}
"""Those that an aggregator has by default."""

FEDERATIONS: Final = ((5, 1), (10, 3))
"""Clients, and how many of them are dishonest."""

ATTACKS: Final = ("none", "sign-flip", "scale", "label-flip")


def plan_poisoning(
    collect: Collect, out: Path, strategies: Sequence[str], seeds: int
) -> list[tuple[dict[str, Any], list[Planned]]]:
    """Plan the runs: each strategy, attack and federation with each seed.

    Parameters
    ----------
    collect
        Completes the settings with those of the command line.
    out
        Folder of the experiment.
    strategies
        Names of strategies, or :data:`UNBOUNDED`; those that are told how many are dishonest are.
    seeds
        Runs of each.

    Returns
    -------
    list of (dict, list of Planned)
        What each cell is, and its runs.

    Raises
    ------
    SettingsError
        If there is no such strategy, or a setting contradicts the experiment.
    """
    cells = []
    for strategy in strategies:
        for clients, attackers in FEDERATIONS:
            for attack in ATTACKS:
                fixed = {
                    **_defence(strategy, clients, attackers),
                    "attack": attack,
                    "attackers": attackers,
                    "clients": clients,
                    "baseline": False,
                }
                values = {**preset_for("best", "clients"), **BOUNDS, "partition": "random"}
                settings = settings_of_cell(collect, values, fixed)
                check_begins_unheard(settings)
                name = f"{strategy}-{attack}-{attackers}-of-{clients}"
                plan = [
                    Planned(
                        out / name / f"seed-{seed}",
                        settings.model_copy(update={"seed": seed}),
                        f"{name} seed-{seed}",
                    )
                    for seed in range(settings.seed, settings.seed + seeds)
                ]
                facts = {"strategy": strategy, "attack": attack}
                cells.append(({**facts, "attackers": attackers, "clients": clients}, plan))
    return cells


def _defence(strategy: str, clients: int, attackers: int) -> dict[str, Any]:
    """Give the settings that a row of the table stands for."""
    known: dict[str, dict[str, Any]] = {
        UNBOUNDED: {"strategy": "fedavg", **dict.fromkeys(_BOUNDS, 0.0)},
        "trimmed-mean": {"strategy": strategy, "trim": attackers / clients},
        "krum": {"strategy": strategy, "byzantine": attackers},
        "multi-krum": {"strategy": strategy, "byzantine": attackers},
    }
    return known.get(strategy, {"strategy": strategy})


def execute_poisoning(
    cells: Sequence[tuple[dict[str, Any], list[Planned]]], console: "Console", *, overwrite: bool
) -> list[dict[str, Any]]:
    """Make all runs but those that are finished; summarise each cell.

    Raises
    ------
    ChorusError
        If a run cannot start or go on; those before it are kept.
    """
    plan = [planned for _, own in cells for planned in own]
    results = iter(execute(plan, console, resume=not overwrite, overwrite=overwrite))
    return [{**facts, **summarise(list(islice(results, len(own))))} for facts, own in cells]


def rows_of_poisoning(summaries: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Lay out the UAR: a row a strategy, a column an attack; the first row is the header."""
    columns = list(dict.fromkeys(map(_column, summaries)))
    rows = [["strategy", *columns]]
    for strategy in dict.fromkeys(summary["strategy"] for summary in summaries):
        own = [summary for summary in summaries if summary["strategy"] == strategy]
        rows.append([strategy, *(spread(s["mean"]["uar"], s["std"]["uar"]) for s in own)])
    return rows


def draw_poisoning(summaries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the UAR as bars, a group an attack; dots are the runs.

    Raises
    ------
    StorageError
        If the PNG cannot be written.
    """
    columns = list(dict.fromkeys(map(_column, summaries)))
    strategies = list(dict.fromkeys(summary["strategy"] for summary in summaries))
    width = 0.8 / len(strategies)
    figure = make_figure(11, 4.4)
    axes = make_axes(figure, "", "UAR on speakers nobody has heard")
    for index, strategy in enumerate(strategies):
        colour = colour_of(index)
        own = [summary for summary in summaries if summary["strategy"] == strategy]
        places = np.arange(len(own)) + (index + 0.5) * width - 0.4
        heights = [summary["mean"]["uar"] for summary in own]
        axes.bar(places, heights, 0.92 * width, color=colour, label=strategy, zorder=2)
        for place, summary in zip(places.tolist(), own, strict=True):
            each = summary["each"]["uar"]
            axes.plot([place] * len(each), each, ".", color="black", markersize=3, zorder=3)
    axes.set_xticks(range(len(columns)), [column.replace(", ", "\n") for column in columns])
    axes.set_xlim(-0.6, len(columns) - 0.1)  # room for a word behind the last bar
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(percents())
    mark_chance(axes, 1 / len(summaries[0]["labels"]))
    figure.legend(loc="outside upper center", ncols=len(strategies), frameon=False)
    save_figure(figure, path)


def _column(summary: dict[str, Any]) -> str:
    """Name the column that a cell is in."""
    clients = summary["clients"]
    if summary["attack"] == "none":
        return f"{clients} clients, honest"
    return f"{summary['attackers']} of {clients}, {summary['attack']}"
