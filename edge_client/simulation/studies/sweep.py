"""A study: a grid or a list of settings, with seeds and folds, as a plan of runs."""

import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from edge_client.simulation.presets import completed
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.studies.comparison import Group, name_of
from edge_client.simulation.study import Planned, seeds_and_folds
from shared.errors import SettingsError
from shared.settings import Settings
from shared.settings_file import read_toml

_UNFIT: Final = re.compile(r"[^\w.,=+-]+")
"""What a name has that a folder's should not."""

_LONGEST_NAME: Final = 255
"""Bytes of a folder's name, on the file systems of Linux."""

_SHOWN: Final = 60
"""Characters of a name that a sentence repeats."""

_WITHIN: Final = ("seed", "fold")
"""Settings that tell the runs of a cell apart, not cells."""


class Study(Settings):
    """What the file of a study holds."""

    preset: str | None = None
    """paper or best; what the study says itself comes before it."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """Runs of each cell, with seeds from the cell's own on."""
    every_fold: bool = False
    """Test on each group of speakers in turn."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Those of all runs."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Settings, each with a list of values: every value is combined with every other one's."""
    runs: list[dict[str, Any]] = Field(default_factory=list)
    """Settings that go together, each with a ``name`` if it should have its own; each of them is
    combined with the grid."""


def read_study(path: Path, out: Path) -> dict[str, list[Planned]]:
    """Read a study, and plan its runs.

    Parameters
    ----------
    path
        A TOML file; see docs/simulation.md.
    out
        Folder of all runs.

    Returns
    -------
    dict
        The runs of each cell, by its name.

    Raises
    ------
    SettingsError
        If the file cannot be read, a setting does not exist or is out of range, two runs would be
        in one folder, or a folder's name would be too long.
    """
    study = Study.parse(read_toml(path))
    cells: dict[str, list[Planned]] = {}
    taken: set[Path] = set()
    for name, values in _cells(study):
        for run, settings in seeds_and_folds(
            completed({**study.settings, **values}, None, study.preset),
            study.seeds,
            every_fold=study.every_fold,
        ):
            folder = out / _folder_name(name) / run
            if folder in taken:
                raise SettingsError(
                    f"Two runs of the study {path} would be in one folder, {folder}.",
                    "Let them differ in a setting, or give each of [[runs]] a name of its own.",
                )
            taken.add(folder)
            cells.setdefault(name, []).append(Planned(folder, settings, f"{name} {run}"))
    if not cells:
        raise SettingsError(
            f"The study {path} has no runs: a list in [grid] is empty.", "Give it values."
        )
    return cells


def _folder_name(cell: str) -> str:
    """Give the name of a cell's folder.

    Raises
    ------
    SettingsError
        If no file system takes one that long.
    """
    name = _UNFIT.sub("_", cell).strip(".")
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise SettingsError(
            f"{name[:_SHOWN]}... is too long a name for a folder of the study.",
            "Give each of [[runs]] a short name of its own, and put what all have into [settings].",
        )
    return name


def _cells(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Combine list and grid; give each cell's name and what it is made of."""
    for listed in study.runs or [{}]:
        own = {key: value for key, value in listed.items() if key != "name"}
        for chosen in product(*study.grid.values()):
            values = dict(zip(study.grid, chosen, strict=True))
            both = own.keys() & values.keys()
            if both:
                raise SettingsError(
                    f"The setting {min(both)} is in [grid] and in [[runs]] of the study.",
                    "Leave it out in one of them.",
                )
            told = values if "name" in listed else {**own, **values}
            parts = [str(listed["name"])] if "name" in listed else []
            parts += [name_of({k: v for k, v in told.items() if k not in _WITHIN})]
            yield ",".join(filter(None, parts)) or "run", {**own, **values}


def finished_groups(
    cells: Mapping[str, Sequence[Planned]], failed: Container[str] = ()
) -> list[Group]:
    """Read what the finished runs of a study came to; a cell without any is left out.

    Parameters
    ----------
    cells
        The runs of each.
    failed
        Titles of those that are not read: why is said elsewhere.
    """
    groups = []
    for name, plan in cells.items():
        found = [
            (planned.folder, RunFolder(planned.folder).read_result())
            for planned in plan
            if planned.title not in failed
        ]
        done = [(folder, result) for folder, result in found if result is not None]
        if done:
            folders, results = zip(*done, strict=True)
            groups.append(Group(name, folders, results))
    return groups
