"""Where the answers of ``edge-client experiment`` go: its folder, a document, the terminal."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

_WIDE = 180
"""Columns of a table that is not printed to a terminal."""


@dataclass(frozen=True)
class ExperimentPlace:
    """Where an experiment's answer goes.

    Attributes
    ----------
    name
        The experiment's.
    out
        Folder of all its runs.
    write
        Document to put the table in, if any.
    """

    name: str
    out: Path
    write: Path | None

    def check(self) -> None:
        """Find now what would be missing after hours: the folder, the place in the document."""
        from edge_client.simulation.run_folder import RunFolder
        from edge_client.simulation.studies.experiment_report import section_of

        RunFolder(self.out).check_above(f"experiment {self.name}")
        if self.write:
            section_of(self.write, self.out.name)

    def answer_cells(self, summaries: list[dict[str, Any]], *, as_json: bool) -> None:
        """Write and print the tables of cells: scores, scores by what is known, confusions."""
        from edge_client.simulation.report import table_of
        from edge_client.simulation.studies import experiment_report as report

        costs, known = report.costs_of_one(summaries), report.rows_of_known(summaries)
        text = report.markdown_of_one(summaries) + "\n" + report.markdown_table(known)
        text += "\n" + report.markdown_confusions(summaries)
        tables = [*report.tables_of_one(summaries), table_of(costs, "Costs"), table_of(known)]
        self.answer({"cells": summaries}, tables, text, as_json=as_json)

    def draw_confusion(self, summary: dict[str, Any]) -> None:
        """Draw what a cell's runs, all together, recognised as what."""
        import numpy as np

        from shared.metrics import Scores
        from shared.pictures.confusion import draw_confusion

        scores = Scores.from_confusion(np.array(summary["confusion"]), summary["labels"])
        draw_confusion(scores, self.out / f"{summary['model']}-{summary['column']}.png")

    def answer(
        self,
        document: dict[str, Any],
        tables: "Sequence[Table | str]",
        markdown: str,
        *,
        as_json: bool,
    ) -> None:
        """Write an experiment's tables where they belong, and print them.

        Parameters
        ----------
        document
            For programs.
        tables
            For the terminal.
        markdown
            For documents; its prose is wrapped.
        as_json
            Whether the document is printed, in place of the tables.
        """
        from edge_client.simulation.report import print_json
        from edge_client.simulation.run_folder import RunFolder
        from edge_client.simulation.studies import experiment_report as report
        from shared.command import answer_console
        from shared.storage.files import write_atomically

        folder = RunFolder(self.out)
        # First, as it says whose the other is.
        folder.write_summary(f"experiment {self.name}", document)
        markdown = report.wrapped(markdown)
        write_atomically(folder.table, markdown)
        if self.write:
            made = f"`{report.command_line(sys.argv[1:])}`, {datetime.now(UTC).date()}.\n"
            text = f"{markdown}\n{report.wrapped(made)}"
            report.write_section(self.write, self.out.name, text)
        if as_json:
            print_json(document)
            return
        width = None if sys.stdout.isatty() else _WIDE
        console = answer_console(width)
        for table in tables:
            console.print(table)
        console.print(f"Everything is in {self.out}: table.md, result.json, each run.")
