"""``edge-client experiment poisoning``: strategies under attack."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Config, Json, Out, Overwrite, Seeds, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.settings import SimulationSettings
from shared.settings import options_of, separated

_DEFENCES = ["fedavg-unbounded", "fedavg", "trimmed-mean", "median", "multi-krum"]


@options_of(SimulationSettings)
def poisoning(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/poisoning"),
    config: Config = None,
    strategies: Annotated[
        list[str],
        typer.Option(help="Rows, repeated or separated by commas; fedavg-unbounded has no bounds."),
    ] = _DEFENCES,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Let 1 of 5 and 3 of 10 clients be dishonest: UAR of each strategy, as a table and a picture.

    Example: edge-client experiment poisoning --corpus ravdess --data PATH --seeds 3
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import poisoning_study as study
    from edge_client.simulation.studies.experiment_report import markdown_table
    from shared.command import progress_console

    collect = partial(SimulationSettings.collect, given, config)
    cells = study.plan_poisoning(collect, out, separated(strategies), seeds)
    place = ExperimentPlace("poisoning", out, write)
    place.check()
    summaries = study.execute_poisoning(cells, progress_console(), overwrite=overwrite)
    study.draw_poisoning(summaries, out / "poisoning.png")
    rows = study.rows_of_poisoning(summaries)
    place.answer({"cells": summaries}, [table_of(rows)], markdown_table(rows), as_json=json_)
