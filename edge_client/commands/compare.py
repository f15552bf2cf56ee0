"""``edge-client compare``: runs side by side, as a table and as pictures."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_client.simulation.studies.comparison import Group

_SUMMARY = "compare"
"""What the document of a comparison is of."""

_WIDE = 200
"""Columns of a table that is not printed to a terminal."""


Metric = Annotated[
    Literal["accuracy", "uar", "precision", "recall", "macro_f1"],
    typer.Option(help="Score whose differences are shown."),
]


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folders of runs, or with runs below them. Runs that differ in seed and fold only "
            "are taken together; the first are what the others are compared with.",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the tables (Markdown, CSV, LaTeX) and the pictures."),
    ] = None,
    metric: Metric = "uar",
    json_: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare finished runs: mean, deviation, paired difference, time, bytes.

    Example: edge-client compare runs/fedavg runs/fedadam --out runs/comparison
    """
    from edge_client.simulation.run_folder import RunFolder
    from edge_client.simulation.studies.comparison import groups_of
    from shared.command import progress_console

    if out is not None:
        RunFolder(out).check_above(_SUMMARY)
    groups, unfinished = groups_of(runs)
    if unfinished:
        names = ", ".join(map(str, unfinished))
        progress_console().print(f"Not finished, and left out: {names}.")
    answer(groups, _SUMMARY, out, metric, {}, as_json=json_)


def answer(
    groups: "Sequence[Group]",
    kind: str,
    out: Path | None,
    metric: str,
    more: "Mapping[str, Any]",
    *,
    as_json: bool,
) -> None:
    """Write a comparison into its folder, if it has one, and print it."""
    from edge_client.simulation.report import print_json, table_of
    from edge_client.simulation.run_folder import RunFolder
    from edge_client.simulation.studies.comparison import compare as compared
    from edge_client.simulation.studies.comparison_report import rows_of, write_comparison
    from shared.command import answer_console

    cells = compared(groups)
    document = {"cells": cells, **more}
    if out is not None:
        # First, as it says whose the other files are.
        RunFolder(out).write_summary(kind, document)
        write_comparison(out, groups, cells, metric)
    if as_json:
        print_json(document)
        return
    width = None if sys.stdout.isatty() else _WIDE
    console = answer_console(width)
    console.print(table_of(rows_of(cells, metric)))
    if out is not None:
        console.print(f"In {out}: table.md, table.csv, table.tex; rounds and scores as pictures.")
