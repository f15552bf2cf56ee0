"""``edge-client experiment noise``: models in other places than where they were taught."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Config, Json, Out, Preset, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.settings import SimulationSettings
from shared.settings import options_of, separated


@options_of(SimulationSettings)
def noise(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/noise"),
    config: Config = None,
    preset: Preset = "best",
    run: Annotated[
        list[Path],
        typer.Option(
            help="Folder of a finished run to test, on its own test; no other settings. Repeated "
            "for runs that differ in seed and fold only: their utterances are scored together."
        ),
    ] = [],  # noqa: B006 -- typer copies it
    models: Annotated[
        Path | None,
        typer.Option(help="Folder of the models of all folds, trained if not there; OUT/models."),
    ] = None,
    conditions: Annotated[
        list[str],
        typer.Option(help="Repeated, or separated by commas, such as clean,white:-60dBFS,room."),
    ] = [],  # noqa: B006 -- typer copies it
    write: Write = None,
    json_: Json = False,
) -> None:
    """Test models in noise, rooms, telephones and at wrong levels: UAR as a table and a picture.

    Example: edge-client experiment noise --corpus ravdess --data PATH --no-validation
    """
    from edge_client.simulation.degradations import CONDITIONS, condition_of
    from edge_client.simulation.known import document_of
    from edge_client.simulation.pictures import draw_bars
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import noise_study as study
    from edge_client.simulation.studies.experiment_report import markdown_table
    from shared.command import progress_console

    names = separated(conditions) or list(CONDITIONS)
    for name in names:
        condition_of(name)
    place = ExperimentPlace("noise", out, write)
    place.check()
    console = progress_console()
    if run:
        results = study.finished_runs(run, given, config)
    else:
        collect = partial(SimulationSettings.collect, given, config)
        model = collect().model
        results = study.trained(collect, preset, models or out / "models", model, console)
    settings = results[0].settings
    scores = study.scores_of(study.study(results, names, console), settings.task.names)
    rows = study.rows_of_noise(scores, settings.known)
    uars = {name: own[settings.known].uar for name, own in scores.items()}
    title = f"UAR, {settings.known} known"
    draw_bars(uars, out / "noise.png", title, 1 / len(settings.task.labels))
    document = {
        "model": settings.model,
        "runs": len(results),
        "conditions": {name: document_of(own) for name, own in scores.items()},
    }
    place.answer(document, [table_of(rows)], markdown_table(rows), as_json=json_)
