"""``edge-client experiment attacks``: what updates tell, with defences and without."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Config, Json, Out, Overwrite, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.studies.attacks.settings import LeakageSettings
from shared.settings import options_of, separated


@options_of(LeakageSettings)
def attacks(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/attacks"),
    config: Config = None,
    kinds: Annotated[
        list[str],
        typer.Option(
            help="inferences (gender, speaker, membership, labels), reconstruction (features): "
            "repeated, or separated by commas."
        ),
    ] = ["inferences", "reconstruction"],  # noqa: B006 -- typer copies it
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Attack updates: what they tell of a person, through each defence, beside guessing.

    Example: edge-client experiment attacks --corpus ravdess --data PATH --model conv
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies.attacks import study
    from edge_client.simulation.studies.attacks.picture import draw_attacks
    from edge_client.simulation.studies.attacks.victims import plan_leakage
    from edge_client.simulation.studies.experiment_report import markdown_table
    from shared.command import progress_console

    settings = plan_leakage(partial(LeakageSettings.collect, given, config))
    place = ExperimentPlace("attacks", out, write)
    place.check()
    chosen = separated(kinds)
    found = study.measure(settings, chosen, out, progress_console(), overwrite=overwrite)
    draw_attacks(found, out / "attacks.png")
    tables = [study.rows_of_attacks(gained, kind) for kind, gained in found.items()]
    markdown = "\n".join(map(markdown_table, tables))
    place.answer({"gained": found}, list(map(table_of, tables)), markdown, as_json=json_)
