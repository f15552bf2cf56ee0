"""Writes comparisons of runs: tables for people, papers and programs."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from edge_client.simulation.progress import duration
from edge_client.simulation.report import megabytes, spread
from edge_client.simulation.studies.comparison import Group
from edge_client.simulation.studies.comparison_pictures import draw_rounds, draw_scores
from edge_client.simulation.studies.experiment_report import markdown_table
from edge_client.simulation.summary import METRICS
from shared.storage.files import write_atomically

PICTURES: Final = ("png", "svg", "pdf")
"""Each picture is written as each of these."""

TITLES: Final = {
    "accuracy": "accuracy",
    "uar": "UAR",
    "precision": "precision",
    "recall": "recall",
    "macro_f1": "macro-F1",
}
"""What tables and pictures call a score."""

_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{letter: "\\" + letter for letter in "&%$#_{}"},
}


def rows_of(cells: Sequence[dict[str, Any]], metric: str) -> list[list[str]]:
    """Lay out a comparison; the first row is the header.

    Parameters
    ----------
    cells
        As :func:`edge_client.simulation.studies.comparison.compare` gives them.
    metric
        The score whose differences to the first cell are shown.
    """
    shown = list(dict.fromkeys(("uar", "macro_f1", "accuracy", metric)))
    against = f"{TITLES[metric]} against {cells[0]['name']} (95 %)"
    header = ["", "seeds", "runs", *(TITLES[name] for name in shown), against]
    rows = [[*header, "time a run", "up a run", "down a run"]]
    for cell in cells:
        scores = [spread(cell["mean"][name], cell["std"][name]) for name in shown]
        rows.append(
            [
                cell["name"],
                str(len(cell["seeds"])),
                str(cell["runs"]),
                *scores,
                _difference(cell.get("differences", {}).get(metric)),
                duration(cell["seconds"] / cell["runs"]),
                megabytes(cell["bytes_up"]),
                megabytes(cell["bytes_down"]),
            ]
        )
    return rows


def _difference(own: dict[str, Any] | None) -> str:
    if own is None:
        return "-"
    interval = f"{own['low']:+.3f} to {own['high']:+.3f}"
    return f"{own['mean']:+.3f} ({interval}; {own['pairs']} {own['of']})"


def csv_of(cells: Sequence[dict[str, Any]]) -> str:
    """Write a comparison as CSV: plain numbers, all scores and differences."""
    parts = ("mean", "low", "high", "pairs")
    header = ["name", "seeds", "runs", "rounds", "clients", "seconds", "bytes_up", "bytes_down"]
    header += [f"{metric}_{what}" for metric in METRICS for what in ("mean", "std")]
    header += [f"{metric}_difference_{part}" for metric in METRICS for part in parts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for cell in cells:
        row = [cell["name"], len(cell["seeds"]), cell["runs"], cell["rounds"], cell["clients"]]
        row += [cell["seconds"] / cell["runs"], cell["bytes_up"], cell["bytes_down"]]
        row += [cell[what][metric] for metric in METRICS for what in ("mean", "std")]
        for metric in METRICS:
            own = cell.get("differences", {}).get(metric) or {}
            row += [own.get(part) for part in parts]
        writer.writerow(row)
    return text.getvalue()


def latex_table(rows: Sequence[Sequence[str]]) -> str:
    r"""Write rows as a LaTeX table; the first is the header. It needs ``\usepackage{booktabs}``."""
    header, *body = (" & ".join(map(_latex, row)) + r" \\" for row in rows)
    columns = "l" + "r" * (len(rows[0]) - 1)
    lines = [r"% \usepackage{booktabs}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", header]
    lines += [r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def write_comparison(
    out: Path, groups: Sequence[Group], cells: Sequence[dict[str, Any]], metric: str
) -> None:
    """Write a comparison's tables and pictures into a folder.

    ``table.md``, ``table.csv``, ``table.tex``, and as PNG, SVG and PDF ``rounds`` (how training
    went) and ``scores``.

    Raises
    ------
    StorageError
        If one cannot be written.
    """
    rows = rows_of(cells, metric)
    write_atomically(out / "table.md", markdown_table(rows))
    write_atomically(out / "table.csv", csv_of(cells))
    write_atomically(out / "table.tex", latex_table(rows))
    draw_rounds(groups, *(out / f"rounds.{kind}" for kind in PICTURES))
    draw_scores(cells, metric, TITLES[metric], *(out / f"scores.{kind}" for kind in PICTURES))
