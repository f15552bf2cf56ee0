"""``edge-client experiment speakers``: what each further speaker adds."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

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

_COUNTS = ["1", "2", "4", "8", "12", "16", "20"]


@options_of(SimulationSettings)
def speakers(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/speakers"),
    config: Config = None,
    preset: Preset = "best",
    counts: Annotated[
        list[str],
        typer.Option(help="How many speakers take part: repeated, or separated by commas."),
    ] = _COUNTS,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Let speakers join one after the other: UAR on others, as a table and a picture.

    Example: edge-client experiment speakers --corpus ravdess --data PATH --rounds 150
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import newcomers
    from edge_client.simulation.studies.experiment_report import markdown_table, rows_of_known
    from shared.command import progress_console

    collect = partial(SimulationSettings.collect, given, config)
    cells = newcomers.plan_newcomers(collect, preset, out, _numbers(counts), seeds)
    place = ExperimentPlace("speakers", out, write)
    place.check()
    console = progress_console()
    summaries = newcomers.execute_newcomers(cells, console, overwrite=overwrite)
    newcomers.draw_newcomers(summaries, out / "speakers.png")
    rows = newcomers.rows_of_newcomers(summaries)
    known = rows_of_known(summaries)
    text = markdown_table(rows) + "\n" + markdown_table(known)
    tables = [table_of(rows), table_of(known)]
    place.answer({"cells": summaries}, tables, text, as_json=json_)


def _numbers(texts: list[str]) -> list[int]:
    """Read whole numbers; raise :class:`SettingsError` if they are not."""
    from shared.errors import SettingsError

    try:
        return [int(number) for number in separated(texts)]
    except ValueError as error:
        raise SettingsError(
            f"{','.join(texts)} should be whole numbers, separated by commas."
        ) from error
