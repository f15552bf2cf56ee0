"""``edge-client experiment fusion``: what words and motion add to speech."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment_place import ExperimentPlace
from edge_client.simulation.settings import FusionSettings
from shared.settings import options_of


@options_of(FusionSettings)
def fusion(
    *,
    given: dict[str, Any],
    out: Annotated[
        Path, typer.Option(help="Folder for all folds, their models, the table and the picture.")
    ] = Path("runs/fusion"),
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of the settings below.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="How often all is done, with seeds from --seed on.")
    ] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew, do not resume.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(help="Document to put the table in, between its marks (docs/results.md)."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Fuse speech, words and motion: UAR of each alone, and fused by what a device has.

    Each fold's folder keeps its model.

    Example: edge-client experiment fusion --corpus synthetic-multimodal --no-validation
    """
    from edge_client.simulation import fusion_study as study
    from edge_client.simulation.experiment_report import markdown_table
    from edge_client.simulation.pictures import draw_bars
    from edge_client.simulation.report import table_of
    from shared.command import progress_console

    settings = FusionSettings.collect(given, config)
    place = ExperimentPlace("fusion", out, write)
    place.check()
    plan = study.plan_fusion(settings, out, seeds)
    found = study.execute_fusion(plan, progress_console(), overwrite=overwrite)
    rows = study.rows_of_fusion(found["systems"])
    uars = {name: own["mean"]["uar"] for name, own in found["systems"].items()}
    draw_bars(uars, out / "fusion.png", "UAR", 1 / len(settings.task.labels))
    text = "\n".join([markdown_table(rows), *found["remarks"], ""])
    place.answer(found, [table_of(rows), *found["remarks"]], text, as_json=json_)
