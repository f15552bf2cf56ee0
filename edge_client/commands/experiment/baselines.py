"""``edge-client experiment baselines``: what is reached without a network."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Config, Json, Out, Overwrite, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.settings import DataSettings
from shared.settings import options_of, separated

_BASELINES = ["svm", "logistic"]


@options_of(DataSettings)
def baselines(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/baselines"),
    config: Config = None,
    models: Annotated[
        list[str],
        typer.Option(
            help="svm (radial kernel), logistic (regression): repeated, or separated by commas."
        ),
    ] = _BASELINES,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Let scikit-learn recognise: what features pooled over time give on the same folds.

    Example: edge-client experiment baselines --corpus ravdess --data PATH --no-validation
    """
    from edge_client.simulation.studies.baselines import execute_baselines, plan_baselines
    from shared.command import progress_console

    settings = DataSettings.collect(given, config)
    plan = plan_baselines(settings, out, separated(models))
    place = ExperimentPlace("baselines", out, write)
    place.check()
    summaries = execute_baselines(plan, progress_console(), overwrite=overwrite)
    for summary in summaries:
        place.draw_confusion(summary)
    place.answer_cells(summaries, as_json=json_)
