"""What an experiment with embeddings shows: tables and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_client.simulation.studies.embedding_study import METHODS
from edge_client.simulation.studies.language_settings import teacher
from shared.pictures.drawing import (
    INK,
    LINE_COLOURS,
    colour_of,
    make_figure,
    percents,
    save_figure,
    style_axes,
)

_LETTERS: Final = 11
"""Of a legend, in an inch."""

Rows = list[list[str]]
"""Of a table; the first is the header."""


def rows_of_embeddings(results: Sequence[dict[str, Any]], known: str) -> Rows:
    """Lay out EER and UAR: a row a result."""
    header = ["vectors", "tested on", "taught by"]
    header += [f"EER, {title}" for title in METHODS.values()]
    header += [f"UAR, {title}" for name, title in METHODS.items() if name != "cosine"]
    rows = [header]
    for result in results:
        own = {name: result["methods"][name][known] for name in METHODS}
        eers = [_percent(found.get("eer")) for found in own.values()]
        uars = [f"{found['uar']:.3f}" for found in own.values() if "uar" in found]
        rows.append([*_begin(result), *eers, *uars])
    return rows


def rows_of_known_moods(results: Sequence[dict[str, Any]]) -> Rows:
    """Lay out pLDA's UAR and EER by what is known of a speaker: a row a result."""
    knowns = list(results[0]["methods"]["plda"])
    rows = [["vectors", "tested on", "taught by", *(f"UAR / EER, {k} known" for k in knowns)]]
    for result in results:
        own = result["methods"]["plda"]
        cells = [f"{own[k]['uar']:.3f} / {_percent(own[k].get('eer'))}" for k in knowns]
        rows.append([*_begin(result), *cells])
    return rows


def rows_of_sums(results: Sequence[dict[str, Any]]) -> Rows:
    """Lay out what a federation of speakers sends of some vectors: a row each.

    And how far it is at most from central training.
    """
    rows = [["vectors", "clients", "MB up a client, once", "scores differ at most by"]]
    for vectors in dict.fromkeys(result["vectors"] for result in results):
        own = [result["federated"] for result in results if result["vectors"] == vectors]
        clients = sorted(each["clients"] for each in own)
        sent, difference = own[0]["bytes_up"], max(each["difference"] for each in own)
        count = f"{clients[0]} to {clients[-1]}" if len(own) > 1 else str(clients[0])
        rows.append([vectors, count, f"{sent / 1e6:.2f}", f"{difference:.0e}"])
    return rows


def _begin(result: dict[str, Any]) -> list[str]:
    """Say what was compared, of whom, and who taught."""
    return [result["vectors"], result["tested_on"], _teacher(result)]


def _teacher(result: dict[str, Any]) -> str:
    return teacher(unseen=result["unseen"])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def draw_embeddings(results: Sequence[dict[str, Any]], known: str, path: Path) -> None:
    """Draw pLDA's equal-error rate and UAR: a group of bars a test, a bar for each of the vectors.

    Raises
    ------
    StorageError
        If the PNG cannot be written.
    """
    kinds = list(dict.fromkeys(result["vectors"] for result in results))
    tests = list(dict.fromkeys((result["tested_on"], _teacher(result)) for result in results))
    wide = max(5.0, 1.6 + (0.5 + 0.18 * len(kinds)) * len(tests))
    figure = make_figure(wide, 6.4)
    titles = {"eer": "Equal-error rate of pairs of clips", "uar": "UAR"}
    panels = figure.subplots(len(titles), sharex=True)
    width = 0.8 / len(kinds)
    for axes, (score, title) in zip(panels, titles.items(), strict=True):
        style_axes(axes, "", title)
        for result in results:
            kind = kinds.index(result["vectors"])
            group = tests.index((result["tested_on"], _teacher(result)))
            height = result["methods"]["plda"][known].get(score, np.nan)
            x = group + width * (kind - (len(kinds) - 1) / 2)
            again = "//" if kind >= len(LINE_COLOURS) else None  # a colour that comes again
            axes.bar(x, height, 0.9 * width, color=colour_of(kind), hatch=again)
        labels = len(results[0]["methods"]["plda"][known]["confusion"])
        chance = 0.5 if score == "eer" else 1 / labels
        axes.axhline(chance, color=INK, linewidth=1, linestyle=(0, (4, 3)), alpha=0.6)
        axes.yaxis.set_major_formatter(percents())
    panels[0].set_ylim(0, 0.55)
    panels[1].set_ylim(0, 1)
    beside = max(1, int(wide * _LETTERS / (max(map(len, kinds)) + 6)))
    bars = [bar[0] for bar in panels[0].containers[:: len(tests)]]
    figure.legend(
        bars, kinds, frameon=False, ncols=min(beside, len(kinds)), loc="outside upper left"
    )
    panels[1].set_xticks(range(len(tests)), [f"{test}\nby {by}" for test, by in tests])
    save_figure(figure, path)
