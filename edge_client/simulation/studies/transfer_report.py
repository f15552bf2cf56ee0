"""Tables and pictures of what was carried over from language to language."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from edge_client.simulation.report import spread
from edge_client.simulation.summary import deviation
from shared.metrics import Scores
from shared.pictures.drawing import (
    INK,
    draw_mean,
    make_axes,
    make_figure,
    percents,
    save_figure,
    style_axes,
)

Results = Sequence[dict[str, Any]]
Rows = list[list[str]]

_WAYS = {
    "central": "all, in one place",
    "federated": "all, each language a client",
    "own-head": "the same, then a head of its own",
}


def uars(results: Results, known: str, **chosen: Any) -> list[float]:
    """Score some results: a UAR a seed, the folds of each counted together; none if there are none.

    Parameters
    ----------
    results
        As :func:`edge_client.simulation.studies.transfer_study.execute_cells` gives them.
    known
        What is known of a speaker.
    **chosen
        What the results have: ``teachers``, ``tested_on``, ``tuned_on``, ``way``, ``second_task``.
    """
    wanted = {"tuned_on": None, "way": "central", "second_task": False, **chosen}
    by_seed: dict[int, list[Any]] = {}
    for result in results:
        if all(result[name] == value for name, value in wanted.items()):
            matrix = np.array(result["known"][known]["confusion"], np.int64)
            by_seed.setdefault(result["seed"], []).append(matrix)
    found = []
    for parts in by_seed.values():
        whole = np.sum(parts, axis=0)
        names = [str(place) for place in range(len(whole))]
        found.append(Scores.from_confusion(whole, names).uar)
    return found


def _cell(values: Sequence[float]) -> str:
    return spread(fmean(values), deviation(values)) if values else "-"


def rows_of_matrix(results: Results, names: Sequence[str], known: str) -> Rows:
    """Lay out UAR: taught by the row, tested on the column; the last row is all other languages."""
    rows = [["taught by", *(f"tested on {name}" for name in names)]]
    for teacher in names:
        found = [uars(results, known, teachers=[teacher], tested_on=name) for name in names]
        rows.append([teacher, *map(_cell, found)])
    left_out = [uars(results, known, teachers=_others(names, n), tested_on=n) for n in names]
    return [*rows, ["all others", *map(_cell, left_out)]]


def rows_of_left_out(results: Results, names: Sequence[str]) -> Rows:
    """Lay out UAR on each language by all others, by what is known of a speaker."""
    knowns = list(results[0]["known"])
    rows = [["tested on, taught by all others", *(f"UAR, {known} known" for known in knowns)]]
    for name in names:
        others = _others(names, name)
        found = [uars(results, known, teachers=others, tested_on=name) for known in knowns]
        rows.append([name, *map(_cell, found)])
    return rows


def rows_of_tuning(
    results: Results, names: Sequence[str], shots: Sequence[int], known: str
) -> Rows:
    """Lay out UAR after fine-tuning on so many clips of each label, by what models began with."""
    rows = [["tested on", "begun with", *(f"n = {count}" for count in shots)]]
    for name in names:
        for title, begun in _begun(results, names, name).items():
            found = [_tuned(results, known, begun, name, count) for count in shots]
            rows.append([name, title, *map(_cell, found)])
    return rows


def rows_of_federation(results: Results, names: Sequence[str], known: str) -> Rows:
    """Lay out UAR where each language is a client, beside its own model and one of all clips."""
    alone = [uars(results, known, teachers=[name], tested_on=name) for name in names]
    rows = [["taught by", *(f"tested on {name}" for name in names)], ["itself", *map(_cell, alone)]]
    ways: dict[str, dict[str, Any]] = {title: {"way": way} for way, title in _WAYS.items()}
    if _second_task(results):
        ways["all, in one place, language a second task"] = {"second_task": True}
    for title, way in ways.items():
        found = [uars(results, known, teachers=[*names], tested_on=name, **way) for name in names]
        rows.append([title, *map(_cell, found)])
    return rows


def _others(names: Sequence[str], name: str) -> list[str]:
    return [other for other in names if other != name]


def _second_task(results: Results) -> bool:
    """Say whether models had the language as a second task, too."""
    return any(result["second_task"] for result in results)


def _begun(results: Results, names: Sequence[str], name: str) -> dict[str, dict[str, Any]]:
    """Give what models of a language began with before they were fine-tuned, by its title."""
    others = {"teachers": _others(names, name)}
    begun: dict[str, dict[str, Any]] = {"all others": others, "nothing": {"teachers": []}}
    if _second_task(results):
        begun["all others, language a second task"] = {**others, "second_task": True}
    return begun


def _tuned(
    results: Results, known: str, begun: dict[str, Any], tested: str, count: int
) -> list[float]:
    return uars(results, known, **begun, tested_on=tested, tuned_on=count or None)


def draw_matrix(results: Results, names: Sequence[str], known: str, path: Path) -> None:
    """Draw the matrix: the darker, the better.

    Raises
    ------
    StorageError
        If the PNG cannot be written.
    """
    rows = [*([name] for name in names)]
    values = np.full((len(names) + 1, len(names)), np.nan)
    for column, name in enumerate(names):
        for row, teachers in enumerate([*rows, _others(names, name)]):
            if found := uars(results, known, teachers=teachers, tested_on=name):
                values[row, column] = fmean(found)
    figure = make_figure(1.8 + 0.9 * len(names), 1.6 + 0.7 * len(names))
    axes = make_axes(figure, "tested on", "taught by")
    axes.grid(visible=False)
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(values)), [*names, "all others"])
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > 0.6 else INK  # noqa: PLR2004 -- where dark begins
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    axes.set_title("UAR on speakers nobody has heard", fontsize=10)
    save_figure(figure, path)


def draw_tuning(
    results: Results, names: Sequence[str], shots: Sequence[int], known: str, path: Path
) -> None:
    """Draw UAR against the clips of each label that a model was fine-tuned on.

    Raises
    ------
    StorageError
        If the PNG cannot be written.
    """
    figure = make_figure(1 + 2.6 * len(names), 3.6)
    panels = np.atleast_1d(figure.subplots(1, len(names), sharey=True))
    for axes, name in zip(panels, names, strict=True):
        style_axes(axes, f"clips of each label of {name}", "")
        for line, (title, begun) in enumerate(_begun(results, names, name).items()):
            there = [place for place, count in enumerate(shots) if count or begun["teachers"]]
            if not there:  # nobody was fine-tuned, and it began with nothing
                continue
            found = [_tuned(results, known, begun, name, shots[place]) for place in there]
            values = np.array(found)
            deviations = values.std(axis=1, ddof=1) if values.shape[1] > 1 else None
            draw_mean(axes, there, values.mean(axis=1), deviations, line, title)
        axes.set_xticks(range(len(shots)), [str(count) for count in shots])
    panels[0].set_ylabel("UAR on speakers nobody has heard", color=INK)
    panels[0].yaxis.set_major_formatter(percents())
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=3, frameon=False, title="begun with")
    save_figure(figure, path)
