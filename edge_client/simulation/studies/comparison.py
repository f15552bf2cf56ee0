"""Compares runs: which belong together, what each comes to, and how they differ, pair by pair."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from types import NoneType
from typing import Any, Final

from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.summary import METRICS, pooled_scores, summarise
from shared.errors import RunError

CONFIDENCE: Final = 0.95
"""Of the intervals around differences."""

_WITHIN: Final = ("seed", "fold", "threads")
"""Settings in which runs of one group may differ."""

_FEWEST_PAIRS: Final = 2
"""Of less there is no interval."""

Result = dict[str, Any]
"""What ``result.json`` of a single run holds."""


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in seed and fold only.

    Attributes
    ----------
    name
        What tables and pictures call them.
    folders
        Where they are.
    results
        What each came to, in the same order.
    """

    name: str
    folders: tuple[Path, ...]
    results: tuple[Result, ...]


def groups_of(places: Sequence[Path]) -> tuple[list[Group], list[Path]]:
    """Find the runs in some folders, and put together those that differ in seed and fold only.

    Parameters
    ----------
    places
        Folders of single runs, or with runs anywhere below them: of several seeds, of an
        experiment, of a sweep.

    Returns
    -------
    list of Group
        In the order in which they were found; each has runs.
    list of pathlib.Path
        Runs that are not finished, which are left out.

    Raises
    ------
    RunError
        If there is no finished run in one of the folders, two are the same run, a result is
        damaged, or a newer version has written it.
    """
    found: dict[str, dict[Path, Result]] = {}
    settings: dict[str, dict[str, Any]] = {}
    origins: dict[str, set[Path]] = {}
    unfinished = []
    for place in places:
        any_here = False
        for folder in _runs_in(place):
            result = RunFolder(folder).read_result()
            if result is None:
                unfinished.append(folder)
                continue
            own = _settings_of(folder, result)
            key = repr(sorted(own.items()))
            settings.setdefault(key, own)
            found.setdefault(key, {})[folder] = result
            origins.setdefault(key, set()).add(place)
            any_here = True
        if not any_here:
            raise RunError(
                f"{place} holds no finished run.", "Name the folder of one, or of several."
            )
    groups = [(tuple(runs), tuple(runs.values())) for runs in found.values()]
    for folders, results in groups:
        _check_different(folders, results)
    names = _names([*settings.values()], [*origins.values()])
    return [Group(name, *runs) for name, runs in zip(names, groups, strict=True)], unfinished


def compare(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Summarise each group, and pair its runs with those of the first.

    Returns
    -------
    list of dict
        For each group ``name``, what :func:`edge_client.simulation.summary.summarise` gives, and,
        but for the first, ``differences`` by score; see :func:`paired`.

    Raises
    ------
    RunError
        If a result is damaged.
    """
    cells: list[dict[str, Any]] = []
    for group in groups:
        try:
            cell = {"name": group.name, **summarise(group.results)}
            if cells:
                pairs = {m: paired(groups[0].results, group.results, m) for m in METRICS}
                cell["differences"] = pairs
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise _damaged(group.folders[0], f"{type(error).__name__}: {error}") from error
        cells.append(cell)
    return cells


def paired(first: Sequence[Result], other: Sequence[Result], metric: str) -> dict[str, Any] | None:
    """Give the mean of a score's differences over pairs of runs, with its confidence interval.

    A pair has the same seed, and was tested on the same folds, which are counted together. Of a
    single seed, a pair has the same fold. The interval is Student's for paired samples: the mean
    difference and t(n - 1) standard errors on both sides.

    Parameters
    ----------
    first, other
        Results of two groups.
    metric
        The score: one of :data:`~edge_client.simulation.summary.METRICS`.

    Returns
    -------
    dict or None
        ``mean`` (other minus first), ``low``, ``high``, ``pairs`` (how many) and ``of`` (``seeds``
        or ``folds``). ``None`` with fewer than two pairs, or where two of a pair were not tested
        on as many utterances of each label.
    """
    seeds, others = _by_seed(first), _by_seed(other)
    common = [s for s in seeds if s in others and seeds[s].keys() == others[s].keys()]
    of = "seeds"
    pairs = [([*seeds[s].values()], [others[s][fold] for fold in seeds[s]]) for s in common]
    if len(pairs) < _FEWEST_PAIRS:
        of = "folds"
        pairs = [
            ([run], [others[s][fold]])
            for s in seeds
            for fold, run in seeds[s].items()
            if fold in others.get(s, ())
        ]
    if len(pairs) < _FEWEST_PAIRS or not all(_tested_alike(*pair) for pair in pairs):
        return None
    differences = [pooled_scores(b)[metric] - pooled_scores(a)[metric] for a, b in pairs]
    mean, half = fmean(differences), _half_width(differences)
    return {"mean": mean, "low": mean - half, "high": mean + half, "pairs": len(pairs), "of": of}


def _half_width(values: Sequence[float]) -> float:
    """Give half of the confidence interval of a mean."""
    from scipy.stats import t

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return quantile * stdev(values) / math.sqrt(len(values))


def _by_seed(results: Iterable[Result]) -> dict[int, dict[Any, Result]]:
    found: dict[int, dict[Any, Result]] = {}
    for result in sorted(results, key=lambda one: str(one["settings"].get("fold"))):
        found.setdefault(result["seed"], {})[result["settings"].get("fold")] = result
    return found


def _tested_alike(first: Sequence[Result], other: Sequence[Result]) -> bool:
    def counts(results: Sequence[Result]) -> list[list[int]]:
        return [[sum(row) for row in result["confusion"]] for result in results]

    return counts(first) == counts(other)


def _runs_in(place: Path) -> list[Path]:
    """List the folders of runs, finished or not; raises :class:`RunError` if there is no folder."""
    if not place.is_dir():
        raise RunError(f"There is no folder {place}.", "Name the folder of a run.")
    return sorted(config.parent for config in place.rglob("config.toml"))


def _settings_of(folder: Path, result: Result) -> dict[str, Any]:
    """Give the settings that tell groups apart; versions before had fewer, at today's default."""
    try:
        own = {**result["settings"]}
        tells_apart = result["seed"], own.get("fold")
    except (KeyError, TypeError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error
    if not all(type(number) in (int, NoneType) for number in tells_apart):
        raise _damaged(folder, "its seed or its fold is no number")
    fields = SimulationSettings.model_fields.items()
    whole = {name: field.default for name, field in fields} if "model" in own else {}
    values = {**whole, **own}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in _WITHIN
    }


def _damaged(folder: Path, why: str) -> RunError:
    return RunError(f"The result in {folder} is damaged ({why}).", "Make the run again.")


def _check_different(folders: Sequence[Path], results: Sequence[Result]) -> None:
    """Raise :class:`RunError` if two folders hold the same run: it would count twice."""
    seen: dict[Any, Path] = {}
    for folder, result in zip(folders, results, strict=True):
        key = (result.get("seed"), result["settings"].get("fold"))
        if key in seen:
            raise RunError(
                f"{seen[key]} and {folder} hold the same run: settings, seed and fold are equal.",
                "Name one of them only.",
            )
        seen[key] = folder


def _names(settings: Sequence[Mapping[str, Any]], origins: Sequence[set[Path]]) -> list[str]:
    """Name groups: by the folder that was named, if that tells them apart, else by settings."""
    folders = [min(places).resolve().name for places in origins]
    if len(set(folders)) == len(folders):
        return folders
    keys = list(dict.fromkeys(key for own in settings for key in own))
    differing = [key for key in keys if len({repr(own.get(key)) for own in settings}) > 1]
    # At most one group has none of them: it needs a name, too.
    without = ",".join(f"{key}=none" for key in differing)
    return [name_of({key: own.get(key) for key in differing}) or without for own in settings]


def name_of(values: Mapping[str, Any]) -> str:
    """Write settings as a name: ``strategy=fedavg,clients=4``; what is ``None`` is left out."""
    return ",".join(f"{key}={_word(value)}" for key, value in values.items() if value is not None)


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
