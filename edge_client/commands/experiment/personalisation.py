"""``edge-client experiment personalisation``: what a person's corrections are worth."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Config, Json, Out, Preset, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.settings import SimulationSettings
from shared.settings import options_of


@options_of(SimulationSettings)
def personalisation(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/personalisation"),
    config: Config = None,
    preset: Preset = "best",
    models: Annotated[
        Path | None,
        typer.Option(help="Folder of the global models, trained if not there; OUT/models."),
    ] = None,
    orders: Annotated[
        int, typer.Option(min=1, max=1000, help="Random orders in which each user's clips come.")
    ] = 10,
    tuned: Annotated[
        int,
        typer.Option(min=0, max=1000, help="In how many of them all weights are fine-tuned, too."),
    ] = 1,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Let speakers nobody has heard correct the model clip by clip: UAR on clips still to come.

    Example: edge-client experiment personalisation --corpus ravdess --data PATH
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import personalisation_study as study
    from edge_client.simulation.studies.experiment_report import markdown_table
    from shared.command import progress_console

    settings = SimulationSettings.collect(given, config)
    collect = partial(SimulationSettings.collect, given, config)
    cell = study.plan_models(collect, preset, models or out / "models", settings.model)
    place = ExperimentPlace("personalisation", out, write)
    place.check()
    users, counts = study.study(cell, progress_console(), orders=orders, tuned=tuned)
    study.draw_personalisation(counts, out / "personalisation.png")
    rows = study.rows_of_personalisation(counts)
    document = {
        "corrections": study.CORRECTIONS,
        "users": users,
        "uar": {name: study.user_uars(own).tolist() for name, own in counts.items()},
        "gain": study.gains(counts, study.PERSONAL).tolist(),
        "noise": study.noise(counts, study.PERSONAL).tolist(),
        "confusions": {name: own.tolist() for name, own in counts.items()},
    }
    place.answer(document, [table_of(rows)], markdown_table(rows), as_json=json_)
