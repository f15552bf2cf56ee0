"""``edge-client experiment pretraining``: what pretraining is worth, beside our encoder."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Config, Json, Out, Overwrite, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.settings import SimulationSettings
from shared.settings import options_of


@options_of(SimulationSettings)
def pretraining(
    *,
    given: dict[str, Any],
    speech: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="Other speech that pretrains, beside the clips of each fold's other speakers.",
        ),
    ] = [],  # noqa: B006 -- typer copies it
    pretrained: Annotated[
        Path | None,
        typer.Option(help="Weights of `edge-client pretrain` for all folds, instead of that."),
    ] = None,
    pretraining_epochs: Annotated[
        int, typer.Option(min=1, max=10_000, help="Passes over the clips that pretrain.")
    ] = 4,
    only_fold: Annotated[
        list[int], typer.Option(min=1, help="Test on this fold alone; repeated for several.")
    ] = [],  # noqa: B006 -- typer copies it
    out: Out = Path("runs/pretraining"),
    config: Config = None,
    preset: Annotated[str, typer.Option(help="paper or best: how it is trained.")] = "best",
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Compare a TDNN fine-tuned, frozen up to layer 12, and from scratch with our encoder.

    With `--corpus iemocap --folds 5` a session is left out at a time.

    Example: edge-client experiment pretraining --corpus ravdess --data PATH --speech emodb=PATH
    """
    from edge_client.commands.starter import corpus_at
    from edge_client.simulation.pictures import draw_bars
    from edge_client.simulation.studies import pretraining_study as study
    from edge_client.simulation.studies.pretraining import Course
    from shared.command import progress_console

    settings = study.settings_of_study(partial(SimulationSettings.collect, given, config), preset)
    planned = study.Study(
        settings,
        out,
        study.folds_of(settings, only_fold),
        [corpus_at(text, settings.task, labelled=False) for text in speech],
        pretrained,
        Course(pretraining_epochs, seed=settings.seed),
    )
    place = ExperimentPlace("pretraining", out, write)
    place.check()
    summaries = study.execute_study(planned, progress_console(), overwrite=overwrite)
    known = settings.known
    uars = {summary["model"]: summary["known"][known]["uar"] for summary in summaries}
    title = f"UAR on speakers nobody has heard, {known} known"
    draw_bars(uars, out / "pretraining.png", title, 1 / len(settings.task.labels))
    place.answer_cells(summaries, as_json=json_)
