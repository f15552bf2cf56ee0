"""Prints and writes the tables of experiments."""

import re
import shlex
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_client.simulation.progress import duration
from edge_client.simulation.report import (
    confusion_table,
    known_cells,
    megabytes,
    spread,
    table_of,
)
from edge_client.simulation.studies.paper import PAPER_SCORES
from shared.errors import RunError
from shared.storage.files import write_atomically
from shared.storage.folders import expanded

if TYPE_CHECKING:
    from rich.table import Table

Row = list[str]

_COLUMNS: Final = 100
"""Of a line of prose in a document."""

_ONE_HEADER: Final = (
    "model",
    "partition",
    "accuracy",
    "UAR",
    "precision",
    "macro-F1",
    "rounds",
    "MB up a client",
    "time",
    "paper: accuracy / recall / precision / macro-F1 / time",
)


def rows_of_one(summaries: Sequence[dict[str, Any]]) -> list[Row]:
    """Lay out experiment one: our scores beside the paper's; the first row is the header."""
    rows = [list(_ONE_HEADER)]
    for summary in summaries:
        mean, std = summary["mean"], summary["std"]
        paper = PAPER_SCORES.get((summary["model"], summary["column"]))
        metrics = ("accuracy", "uar", "precision", "macro_f1")
        sent = summary["bytes_up"] / max(1, summary["clients"])
        rows.append(
            [
                summary["model"],
                summary["column"],
                *(spread(mean[metric], std[metric]) for metric in metrics),
                str(summary["rounds"]),
                megabytes(sent) if sent else "-",
                duration(summary["seconds"] / summary["runs"]),
                f"{paper.accuracy:.2f} / {paper.recall:.2f} / {paper.precision:.2f} / "
                f"{paper.macro_f1:.2f} / {duration(paper.seconds)}"
                if paper
                else "-",
            ]
        )
    return rows


def costs_of_one(summaries: Sequence[dict[str, Any]]) -> list[Row]:
    """Lay out what experiment one's rounds cost; the first row is the header."""
    return [[*row[:2], *row[6:9]] for row in rows_of_one(summaries)]


def markdown_of_one(summaries: Sequence[dict[str, Any]]) -> str:
    """Write experiment one as two tables of six columns: scores; costs, and the paper's."""
    rows = rows_of_one(summaries)
    return "\n".join(
        markdown_table([[*row[:2], *some] for row, some in zip(rows, part, strict=True)])
        for part in ([row[2:6] for row in rows], [row[6:] for row in rows])
    )


def rows_of_known(summaries: Sequence[dict[str, Any]]) -> list[Row]:
    """Lay out each cell's UAR by what a device knows of its user; the first row is the header."""
    names = list(dict.fromkeys(name for summary in summaries for name in summary["known"]))
    rows = [["model", "column", *(f"UAR, {name} known" for name in names)]]
    for summary in summaries:
        cells = known_cells(summary["known"])
        rows.append([summary["model"], summary["column"], *(cells.get(n, "-") for n in names)])
    return rows


def tables_of_one(summaries: Sequence[dict[str, Any]]) -> "list[Table]":
    """Lay out experiment one as the paper does: a table a partition, then confusion matrices."""
    # What the rounds cost stands in a table of its own: a terminal holds no ten columns.
    header, *rows = ([row[0], *row[2:6], row[-1]] for row in rows_of_one(summaries))
    columns = [summary["column"] for summary in summaries]
    tables = []
    for partition in dict.fromkeys(columns):
        own = [row for row, column in zip(rows, columns, strict=True) if column == partition]
        tables.append(table_of([header, *own], partition))
    for summary in summaries:
        title = f"{summary['model']}, {summary['column']}: confusion"
        tables.append(confusion_table(summary["confusion"], summary["labels"], title))
    return tables


def rows_of_two(summaries: Sequence[dict[str, Any]]) -> list[Row]:
    """Lay out experiment two: macro-F1 against the number of clients, a row a model."""
    return _against_clients(
        summaries, "model", lambda s: spread(s["mean"]["macro_f1"], s["std"]["macro_f1"])
    )


def times_of_two(summaries: Sequence[dict[str, Any]]) -> list[Row]:
    """Lay out how long a run of experiment two trains, in the same way."""
    return _against_clients(
        summaries, "time of a run", lambda s: duration(s["seconds"] / s["runs"])
    )


def _against_clients(
    summaries: Sequence[dict[str, Any]], title: str, cell: Callable[[dict[str, Any]], str]
) -> list[Row]:
    columns = list(dict.fromkeys(summary["column"] for summary in summaries))
    models = dict.fromkeys(summary["model"] for summary in summaries)
    return [
        [title, *(f"k = {column}" for column in columns)],
        *([model, *(cell(s) for s in summaries if s["model"] == model)] for model in models),
    ]


def remark_on_steps(summaries: Sequence[dict[str, Any]]) -> str:
    """Say how many steps a client takes where that falls as clients become more; else nothing.

    An epoch of a part of the examples is fewer steps than one of all: in few rounds each of many
    clients learns less, whatever federation does to the model.
    """
    steps = {summary["column"]: summary.get("steps") for summary in summaries}
    if len(steps) == 1:
        return ""
    first, *_, last = steps
    most, fewest = steps[first], steps[last]
    if most is None or fewest is None or most <= fewest:
        return ""
    return (
        f"In all rounds a client takes {most} steps with k = {first}, and {fewest} with k = "
        f"{last}: a score that falls may only be one of less training. --steps N gives all the "
        "same number of steps a round; --rounds more of them."
    )


def markdown_table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table; the first is the header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines) + "\n"


def markdown_confusions(summaries: Sequence[dict[str, Any]]) -> str:
    """Write each cell's confusion matrix, in percent of its row, all folds and seeds together."""
    labels = summaries[0]["labels"] if summaries else []
    rows = [["model", "partition", "true label", *labels]]
    for summary in summaries:
        for label, counts in zip(labels, summary["confusion"], strict=True):
            total = max(1, sum(counts))
            shares = [f"{count / total:.0%}" for count in counts]
            rows.append([summary["model"], summary["column"], label, *shares])
    return markdown_table(rows)


def wrapped(markdown: str) -> str:
    """Break lines of prose that are longer than documents have them; tables stay as they are."""
    return "".join(
        line if line.startswith("|") else _wrapped(line) for line in markdown.splitlines(True)
    )


def _wrapped(line: str) -> str:
    # An option is no word that may be divided at its hyphens.
    text = textwrap.fill(line, _COLUMNS, break_long_words=False, break_on_hyphens=False)
    return text + "\n"


def section_of(path: Path, name: str) -> tuple[str, str]:
    """Find the place of a generated section in a document: what stands before and behind it.

    Raises
    ------
    RunError
        If the document is not there or not text in UTF-8, or has no marks
        ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.
    """
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    try:
        document = path.read_text("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"{path} is not a text file that can be read.", "Name a Markdown document with --write."
        ) from error
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise RunError(
            f"{path} has no place for this table.",
            f"Add the lines {begin.strip()} and {end} where it should stand.",
        )
    return before + begin, end + after


def write_section(path: Path, name: str, text: str) -> None:
    """Put a generated section into a document, between its two marks; see :func:`section_of`."""
    before, after = section_of(path, name)
    write_atomically(path, f"{before}\n{text}\n{after}")


def command_line(arguments: Sequence[str]) -> str:
    """Write the command that was given, for a document: with PATH for where the data lie.

    Front ends and weights keep the names of their files.
    """
    shown = list(arguments)
    for i, argument in enumerate(shown[:-1]):
        if argument in ("--data", "--test-data"):
            shown[i + 1] = "PATH"
        if argument == "--sentences" and expanded(Path(shown[i + 1])).is_dir():
            shown[i + 1] = "PATH"
        if argument in ("--vectors", "--front-end", "--pretrained", "--initial"):
            shown[i + 1] = re.sub(r"[^,+]*/", "", shown[i + 1])
        if argument in ("--corpus", "--test", "--speech"):  # NAME=PATH, or LANGUAGE=NAME:PATH
            shown[i + 1] = re.sub(r"([=:])[^,:=]*/[^,]*", r"\1PATH", shown[i + 1])
    return shlex.join(["edge-client", *shown])
