"""``edge-client experiment one`` and ``two``: the paper's experiments, beside ours."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_client.commands.experiment.options import (
    Config,
    Json,
    Out,
    Overwrite,
    Preset,
    Seeds,
    Write,
)
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.settings import SimulationSettings
from shared.settings import options_of, separated

if TYPE_CHECKING:
    from rich.table import Table

    from edge_client.simulation.studies.experiments import Cell

_MODELS_OF_ONE = ["dense", "conv", "lstm"]
_PARTITIONS_OF_ONE = ["baseline", "random", "single-emotion", "speaker", "dirichlet", "quantity"]
_MODELS_OF_TWO = ["dense", "conv"]

Models = Annotated[list[str], typer.Option(help="Models: repeated, or separated by commas.")]


@options_of(SimulationSettings)
def one(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/experiment-one"),
    config: Config = None,
    preset: Preset = "best",
    models: Models = _MODELS_OF_ONE,
    partitions: Annotated[
        list[str], typer.Option(help="Columns: repeated, or separated by commas.")
    ] = _PARTITIONS_OF_ONE,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Compare partitions: the paper's three tables beside ours, with confusion matrices.

    Example: edge-client experiment one --preset paper --corpus iemocap --data PATH
    """
    from edge_client.simulation.studies.experiments import experiment_one

    collect = partial(SimulationSettings.collect, given, config)
    cells = experiment_one(collect, preset, out, separated(models), separated(partitions), seeds)
    place = ExperimentPlace("one", out, write)
    summaries = _run(cells, place, overwrite=overwrite)
    place.answer_cells(summaries, as_json=json_)


@options_of(SimulationSettings)
def two(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/experiment-two"),
    config: Config = None,
    preset: Preset = "best",
    models: Models = _MODELS_OF_TWO,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Compare numbers of clients: macro-F1 against k = 1 … 8, as a table and a picture.

    Example: edge-client experiment two --preset paper --corpus iemocap --data PATH
    """
    from edge_client.simulation.pictures import draw_sweep
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import experiment_report as report
    from edge_client.simulation.studies.experiments import experiment_two

    collect = partial(SimulationSettings.collect, given, config)
    cells = experiment_two(collect, preset, out, separated(models), seeds)
    place = ExperimentPlace("two", out, write)
    summaries = _run(cells, place, overwrite=overwrite)
    rows, times = report.rows_of_two(summaries), report.times_of_two(summaries)
    sweep = [
        {"model": summary["model"], "clients": int(summary["column"]), "macro_f1": score}
        for summary in summaries
        for score in summary["each"]["macro_f1"]
    ]
    remark = report.remark_on_steps(summaries)
    draw_sweep(
        sweep, out / "macro-f1.png", "the more, the fewer steps each takes" if remark else ""
    )
    known = report.rows_of_known(summaries)
    text = report.markdown_table(rows) + (f"\n{remark}\n" if remark else "")
    text += "\n" + report.markdown_table(times) + "\n" + report.markdown_table(known)
    tables: list[Table | str] = [table_of(rows), table_of(times), table_of(known)]
    if remark:
        tables.insert(1, remark)
    place.answer({"cells": summaries}, tables, text, as_json=json_)


def _run(cells: "list[Cell]", place: ExperimentPlace, *, overwrite: bool) -> list[dict[str, Any]]:
    """Make the runs of all cells; summarise and draw each cell."""
    from edge_client.simulation.study import execute
    from shared.command import progress_console

    place.check()
    console = progress_console()
    plan = [planned for cell in cells for planned in cell.plan]
    text = f"{len(plan)} runs; stop and start again at any time: {place.out} keeps them."
    console.print(text)
    results = execute(plan, console, resume=not overwrite, overwrite=overwrite)
    summaries = []
    for cell in cells:
        own, results = results[: len(cell.plan)], results[len(cell.plan) :]
        summary = cell.summary(own)
        place.draw_confusion(summary)
        summaries.append(summary)
    return summaries
