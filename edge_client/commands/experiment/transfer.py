"""``edge-client experiment transfer``: what carries over from language to language."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.commands.experiment.options import Config, Json, Out, Overwrite, Seeds, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.studies.language_settings import TransferSettings
from shared.settings import options_of


@options_of(TransferSettings)
def transfer(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/transfer"),
    config: Config = None,
    seeds: Seeds = 1,
    second_task: Annotated[
        bool,
        typer.Option(
            "--second-task",
            help="Let models also learn the language, and show both; for a --model with a "
            "hidden layer, such as mlp: head has none.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Teach in one language, test in another: each by each, by all others, fine-tuned, federated.

    Example: edge-client experiment transfer --corpus en=ravdess:PATH --corpus de=emodb:PATH
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.run_folder import RunFolder
    from edge_client.simulation.studies import transfer_report as report
    from edge_client.simulation.studies.cells import execute_cells
    from edge_client.simulation.studies.experiment_report import markdown_table
    from edge_client.simulation.studies.languages import languages_named, load_languages
    from edge_client.simulation.studies.small_encoders import Transfers, check_files
    from edge_client.simulation.studies.transfer_study import plan_cells
    from shared.command import progress_console

    settings = TransferSettings.collect(given, config)
    named = languages_named(settings.corpus)
    place = ExperimentPlace("transfer", out, write)
    place.check()
    console = progress_console()
    check_files(settings, named)
    names, known = [own.name for own in named], settings.known
    plan = list(plan_cells(settings, names, seeds, second_task=second_task))
    languages = load_languages(named, settings.simulation(), console)
    cells = {cell.name: cell for cell in plan}
    study = Transfers(settings, languages, out, console, overwrite=overwrite)
    digest = languages.whole.digest
    results = execute_cells(
        cells, study.result, digest, out, console, overwrite=overwrite, given=study.given
    )
    study.keep_model(RunFolder(out))
    report.draw_matrix(results, names, known, out / "matrix.png")
    report.draw_tuning(results, names, settings.shots, known, out / "tuning.png")
    rows = {
        f"UAR, {known} known": report.rows_of_matrix(results, names, known),
        "All others teach": report.rows_of_left_out(results, names),
        "Fine-tuned on n clips of each label": report.rows_of_tuning(
            results, names, settings.shots, known
        ),
        "Each language a client": report.rows_of_federation(results, names, known),
    }
    text = "\n".join(f"{title}:\n\n{markdown_table(own)}" for title, own in rows.items())
    tables = [table_of(own, title) for title, own in rows.items()]
    place.answer({"languages": names, "results": results}, tables, text, as_json=json_)
