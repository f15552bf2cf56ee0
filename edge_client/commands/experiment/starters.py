"""``edge-client experiment starters``: what starters reach on people they never heard."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Json, Out, Overwrite, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.commands.starter import StarterSettings, corpora_of
from shared.settings import options_of


@options_of(StarterSettings)
def starters(
    *,
    given: dict[str, Any],
    corpus: Annotated[
        list[str],
        typer.Option(metavar="NAME=PATH", help="A corpus that teaches; give as many as you like."),
    ],
    test: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="A corpus to test on; repeated. Without one, the speakers of the first --corpus "
            "are tested in turn, each fold with a starter of all others.",
        ),
    ] = [],  # noqa: B006 -- typer copies it
    folds: Annotated[
        int, typer.Option(min=2, max=1000, help="Groups that the speakers are divided into.")
    ] = 6,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="How often all is done, with seeds from 0 on.")
    ] = 1,
    orders: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="Random orders in which each speaker's clips are heard and corrected; 0: none.",
        ),
    ] = 10,
    out: Out = Path("runs/starters"),
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Test starters on people they never heard: UAR by what is known, worst speakers, corrections.

    Example: edge-client experiment starters --corpus ravdess=PATH --normalisation voice
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import starter_study as study
    from edge_client.simulation.studies.experiment_report import markdown_table
    from edge_client.simulation.studies.pretrained_file import check_front_end_unheard
    from shared.command import progress_console

    settings = StarterSettings.collect(given)
    corpora, tests = corpora_of(corpus, test, settings.task)
    tested = [own.info.name for own in tests or corpora[:1]]
    check_front_end_unheard(settings.front_end, tested)
    plan = study.Plan(
        corpora,
        tests,
        settings.task,
        settings.normalisation,
        settings.copies,
        folds,
        range(seeds),
        orders,
    )
    place = ExperimentPlace("starters", out, write)
    place.check()
    plan.check()
    found = study.study(plan, out, progress_console(), overwrite=overwrite)
    rows = study.rows_of_starters(found)
    place.answer({"tests": found}, [table_of(rows)], markdown_table(rows), as_json=json_)
