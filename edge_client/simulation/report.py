"""Prints results: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_client.device.settings import UNSURE_BELOW
from edge_client.simulation.progress import duration
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.summary import METRICS
from shared.command import answer_console
from shared.model_notes.calibration import Reliability
from shared.model_notes.model_card import SYNTHETIC

if TYPE_CHECKING:
    from rich.table import Table

MOST_SHARES: Final = 5
"""Labels of a confusion matrix up to which counts and their shares fit on a terminal's line."""


def print_result(result: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print the scores of one run, and where its files are."""
    if as_json:
        print_json(result)
        return
    console = answer_console()
    console.print(_scores_table("Test", {name: f"{result[name]:.3f}" for name in METRICS}))
    if known := result.get("known"):
        console.print(known_table(known))
    console.print(confusion_table(result["confusion"], list(result["classes"])))
    test = result["utterances"]["test"]
    console.print(
        f"{test} test utterances; the model of round {result['chosen_round']}; "
        f"{duration(result['seconds'])} of training, {result['seconds_per_round']:.2f} s a round, "
        f"{megabytes(result['bytes_up_per_round'])} up a round.",
        soft_wrap=True,
    )
    if reliability := result.get("reliability"):
        console.print(_told(reliability))
    if result["settings"]["corpus"] in SYNTHETIC:
        console.print(
            "The synthetic corpus is not speech: these scores say only that everything works."
        )
    folder = RunFolder(out)
    console.print(f"Look at {folder.confusion}, {folder.history} and {folder.partition};")
    console.print(f"the model is {folder.model}, everything else {folder.result}.")


def print_summary(summary: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print mean and spread over several runs."""
    if as_json:
        print_json(summary)
        return
    console = answer_console()
    count = len(summary["seeds"])
    title = f"Test, mean of {count} seeds" if count > 1 else "Test, all folds together"
    values = {name: spread(summary["mean"][name], summary["std"][name]) for name in METRICS}
    console.print(_scores_table(title, values))
    if known := summary.get("known"):
        console.print(known_table(known))
    console.print(confusion_table(summary["confusion"], summary["labels"]))
    if reliability := summary.get("reliability"):
        console.print(_told(reliability))
    console.print(f"{summary['runs']} runs in {out}; the summary is {RunFolder(out).result}.")


def print_json(value: dict[str, Any]) -> None:
    """Print JSON to standard output."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def spread(mean: float, std: float | None) -> str:
    """Write a mean with its standard deviation, where there is one."""
    return f"{mean:.3f}" if std is None else f"{mean:.3f} ± {std:.3f}"


def megabytes(count: float) -> str:
    """Write a number of bytes in MB."""
    return f"{count / 1e6:.1f} MB"


def known_cells(known: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Write a result's or a summary's UAR for what is known of a speaker."""
    return {name: spread(own["uar"], own.get("std")) for name, own in known.items()}


def known_table(known: dict[str, dict[str, Any]]) -> "Table":
    """Lay out the UAR, and the calibration error, by what a device knows of its user."""
    rows = [["", *known], ["UAR", *known_cells(known).values()]]
    errors = [own.get("calibration_error") for own in known.values()]
    if None not in errors:
        rows.append(["calibration error", *(f"{error:.3f}" for error in errors)])
    return table_of(rows, "By what is known of a speaker")


def _told(reliability: dict[str, Any]) -> str:
    """Say what the threshold of a device means on the test."""
    answers, wrong = Reliability.from_dict(reliability).below(UNSURE_BELOW)
    many = f"{answers} {'answer' if answers == 1 else 'answers'}"
    were = f"{wrong} {'was' if wrong == 1 else 'were'}"
    return f"{many} had a probability below {UNSURE_BELOW:.0%}; {were} wrong."


def table_of(rows: Sequence[Sequence[str]], title: str = "") -> "Table":
    """Lay out rows; the first is the header."""
    from rich.table import Table

    table = Table(*rows[0], title=title)
    for row in rows[1:]:
        table.add_row(*row)
    return table


def confusion_table(
    matrix: list[list[int]], names: Sequence[str], title: str = "Confusion"
) -> "Table":
    """Lay out a confusion matrix of labels with these names: counts, and the share of each row.

    Of more than :data:`MOST_SHARES` labels only the counts, so that a row fits on a line.
    """
    from rich.table import Table

    table = Table(title=f"{title} (rows: true label; columns: predicted)")
    table.add_column("", no_wrap=True)
    rows = []
    for row in matrix:
        total = max(1, sum(row))
        shares = [f" ({value / total:.0%})" if len(names) <= MOST_SHARES else "" for value in row]
        rows.append([f"{value}{share}" for value, share in zip(row, shares, strict=True)])
    widest = max(len(cell) for row in rows for cell in row)
    for name in names:
        # A name is cut before a number is.
        table.add_column(name, justify="right", overflow="ellipsis", min_width=widest)
    for name, cells in zip(names, rows, strict=True):
        table.add_row(name, *cells)
    return table


def _scores_table(title: str, values: dict[str, str]) -> "Table":
    from rich.table import Table

    table = Table(title=title)
    for name in values:
        table.add_column("UAR" if name == "uar" else name.replace("_", " "), justify="right")
    table.add_row(*values.values())
    return table
