"""What an experiment with embeddings shows: tables and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_client.simulation.drawing import (
    INK,
    LINE_COLOURS,
    make_figure,
    percents,
    save_figure,
    style_axes,
)
from edge_client.simulation.studies.embedding_study import METHODS


def rows_of_embeddings(results: Sequence[dict[str, Any]], known: str) -> list[list[str]]:
    """Lay out EER and UAR: a row a language and who taught; the first row is the header."""
    header = ["tested on", "taught by"]
    header += [f"EER, {title}" for title in METHODS.values()]
    header += [f"UAR, {title}" for name, title in METHODS.items() if name != "cosine"]
    rows = [header]
    for result in results:
        own = {name: result["methods"][name][known] for name in METHODS}
        eers = [f"{found['eer']:.1%}" if "eer" in found else "-" for found in own.values()]
        uars = [f"{found['uar']:.3f}" for found in own.values() if "uar" in found]
        rows.append([result["tested_on"], _teacher(result), *eers, *uars])
    return rows


def rows_of_known_moods(results: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Lay out pLDA's UAR and EER by what is known of a speaker; the first row is the header."""
    knowns = list(results[0]["methods"]["plda"])
    rows = [["tested on", "taught by", *(f"UAR / EER, {known} known" for known in knowns)]]
    for result in results:
        own = result["methods"]["plda"]
        cells = [f"{own[k]['uar']:.3f} / {_percent(own[k].get('eer'))}" for k in knowns]
        rows.append([result["tested_on"], _teacher(result), *cells])
    return rows


def rows_of_sums(results: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Lay out what a federation of speakers sends, and how far it is from central training."""
    rows = [["tested on", "taught by", "clients", "MB up a client, once", "scores differ by"]]
    for result in results:
        own = result["federated"]
        sent = f"{own['bytes_up'] / 1e6:.2f}"
        difference = f"{own['difference']:.0e}"
        rows.append([result["tested_on"], _teacher(result), str(own["clients"]), sent, difference])
    return rows


def _teacher(result: dict[str, Any]) -> str:
    return "all others" if result["unseen"] else "its own"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def draw_embeddings(results: Sequence[dict[str, Any]], known: str, path: Path) -> None:
    """Draw the equal-error rate of each method: a group of bars a result.

    Raises
    ------
    StorageError
        If the PNG cannot be written.
    """
    figure = make_figure(max(5.0, 1.6 + 1.1 * len(results)), 3.8)
    axes = figure.subplots()
    style_axes(axes, "", "Equal-error rate of pairs of clips")
    for place, (method, title) in enumerate(METHODS.items()):
        eers = [result["methods"][method][known].get("eer", np.nan) for result in results]
        x = np.arange(len(results)) + 0.27 * (place - 1)
        axes.bar(x, eers, 0.25, color=LINE_COLOURS[place], label=title)
    axes.axhline(0.5, color=INK, linewidth=1, linestyle=(0, (4, 3)), alpha=0.6)
    names = [f"{result['tested_on']}\nby {_teacher(result)}" for result in results]
    axes.set_xticks(range(len(results)), names)
    axes.set_ylim(0, 0.62)
    axes.yaxis.set_major_formatter(percents())
    axes.legend(frameon=False, ncols=len(METHODS), loc="upper center")
    save_figure(figure, path)
