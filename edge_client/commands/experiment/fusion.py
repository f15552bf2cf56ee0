"""``edge-client experiment fusion``: what words and motion add to speech."""

from pathlib import Path
from typing import Any

from edge_client.commands.experiment.options import Config, Json, Out, Overwrite, Seeds, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.settings import FusionSettings
from shared.settings import options_of


@options_of(FusionSettings)
def fusion(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/fusion"),
    config: Config = None,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Fuse speech, words and motion: UAR of each alone, and fused by what a device has.

    Each fold's folder keeps its model.

    Example: edge-client experiment fusion --corpus synthetic-multimodal --no-validation
    """
    from edge_client.simulation.pictures import draw_bars
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import fusion_study as study
    from edge_client.simulation.studies.experiment_report import markdown_table
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
