"""The paper's two experiments, as plans of runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_client.simulation.presets import preset_for
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.pretrained_file import check_begins_unheard
from edge_client.simulation.study import Planned
from edge_client.simulation.summary import summarise
from shared.errors import SettingsError

BASELINE: Final = "baseline"
"""The cell without federation."""

COLUMNS: Final = (BASELINE, "random", "single-emotion", "speaker", "dirichlet", "quantity")
"""The columns of experiment one: the paper's three, the one it names as future work, and ours."""

CLIENTS: Final = tuple(range(1, 9))
"""The numbers of clients of experiment two."""

Collect = Callable[[Mapping[str, Any]], SimulationSettings]
"""Completes the settings that a cell determines with those of the command line."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of an experiment's table: runs that differ in seed and fold only.

    Attributes
    ----------
    model
        The architecture.
    column
        The partition, ``baseline``, or the number of clients.
    plan
        Its runs.
    """

    model: str
    column: str
    plan: tuple[Planned, ...]

    def summary(self, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Summarise the cell's results; see :func:`edge_client.simulation.summary.summarise`."""
        return {"model": self.model, "column": self.column, **summarise(results)}


def experiment_one(
    collect: Collect,
    preset: str,
    out: Path,
    models: Sequence[str],
    partitions: Sequence[str],
    seeds: int,
) -> list[Cell]:
    """Plan experiment one: each model, without federation and with each partition.

    Parameters
    ----------
    collect
        Completes a cell's settings.
    preset
        ``paper`` or ``best``.
    out
        Folder of the experiment.
    models, partitions
        Rows and columns.
    seeds
        Runs a cell and fold.

    Raises
    ------
    SettingsError
        If a model, a partition or the preset does not exist, a setting contradicts a cell, or
        what it begins with may have heard who is tested.
    """
    _check_known("partition", partitions, COLUMNS)
    cells = []
    for model in models:
        for partition in partitions:
            fixed: dict[str, Any] = {"model": model, "baseline": partition == BASELINE}
            if partition != BASELINE:
                fixed["partition"] = partition
            settings = settings_of_cell(collect, preset_for(preset, partition), fixed)
            cells.append(_cell(settings, model, partition, out, seeds))
    return cells


def experiment_two(
    collect: Collect, preset: str, out: Path, models: Sequence[str], seeds: int
) -> list[Cell]:
    """Plan experiment two: random partition, 1 to 8 clients, 10 rounds."""
    cells = []
    for model in models:
        for clients in CLIENTS:
            values = preset_for(preset, "clients") | {"rounds": 10}
            fixed = {"model": model, "clients": clients, "partition": "random", "baseline": False}
            settings = settings_of_cell(collect, values, fixed)
            cells.append(_cell(settings, model, str(clients), out, seeds))
    return cells


def settings_of_cell(
    collect: Collect, values: Mapping[str, Any], fixed: Mapping[str, Any]
) -> SimulationSettings:
    """Complete a cell's settings, of which some define the cell.

    Parameters
    ----------
    collect
        Completes them with those of the command line.
    values
        What the command line may change.
    fixed
        What it may not.

    Raises
    ------
    SettingsError
        If it does: the cell's numbers would stand under a wrong name.
    """
    settings = collect({**values, **fixed})
    for name, wanted in fixed.items():
        if (found := getattr(settings, name)) != wanted:
            option = "--" + name.replace("_", "-")
            raise SettingsError(
                f"The experiment needs {name} = {_shown(wanted)} here, "
                f"but the setting says {_shown(found)}.",
                f"Leave it out: as an option ({option}), in the environment "
                f"({SimulationSettings.variable(name)}) and in --config.",
            )
    return settings


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value).lower()


def _cell(settings: SimulationSettings, model: str, column: str, out: Path, seeds: int) -> Cell:
    """Plan the runs of a cell: every seed; every fold too where speakers are held out."""
    check_begins_unheard(settings)
    folds = range(1, settings.folds + 1) if settings.has_folds else [settings.fold]
    plan = []
    for seed in range(settings.seed, settings.seed + seeds):
        for fold in folds:
            name = f"seed-{seed}-fold-{fold}" if settings.has_folds else f"seed-{seed}"
            changed = settings.model_copy(update={"seed": seed, "fold": fold})
            folder = out / f"{model}-{column}" / name
            plan.append(Planned(folder, changed, f"{model} {column} {name}"))
    return Cell(model, column, tuple(plan))


def _check_known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise SettingsError(f"There is no {what} {name}; there are: {', '.join(known)}.")
