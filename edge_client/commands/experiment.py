"""``edge-client experiment``: the paper's experiments and ours, each from one command."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_client.commands.experiment_attacks import attacks
from edge_client.commands.experiment_embeddings import embeddings
from edge_client.commands.experiment_fusion import fusion
from edge_client.commands.experiment_options import Config, Json, Out, Overwrite, Seeds, Write
from edge_client.commands.experiment_place import ExperimentPlace
from edge_client.commands.experiment_pretraining import pretraining
from edge_client.commands.experiment_starters import starters
from edge_client.commands.experiment_transfer import transfer
from edge_client.simulation.settings import DataSettings, SimulationSettings
from shared.settings import options_of, separated

if TYPE_CHECKING:
    from rich.table import Table

    from edge_client.simulation.studies.experiments import Cell

_MODELS_OF_ONE = ["dense", "conv", "lstm"]
_PARTITIONS_OF_ONE = ["baseline", "random", "single-emotion", "speaker", "dirichlet", "quantity"]
_MODELS_OF_TWO = ["dense", "conv"]
_DEFENCES = ["fedavg-unbounded", "fedavg", "trimmed-mean", "median", "multi-krum"]
_BASELINES = ["svm", "logistic"]
_COUNTS = ["1", "2", "4", "8", "12", "16", "20"]

experiment = typer.Typer(
    help="Run the paper's experiments and ours; each goes on where it was when started again.",
    no_args_is_help=True,
)

Preset = Annotated[
    str, typer.Option(help="paper (its protocol, no normalisation) or best (our settings).")
]
Models = Annotated[list[str], typer.Option(help="Models: repeated, or separated by commas.")]


@experiment.command()
@options_of(SimulationSettings)
def one(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/experiment-one"),
    config: Config = None,
    preset: Preset = "best",
    models: Models = _MODELS_OF_ONE,
    partitions: Annotated[
        list[str], typer.Option(help="Columns: repeated, or separated by commas.")
    ] = _PARTITIONS_OF_ONE,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Compare partitions: the paper's three tables beside ours, with confusion matrices.

    Example: edge-client experiment one --preset paper --corpus iemocap --data PATH
    """
    from edge_client.simulation.studies.experiments import experiment_one

    collect = partial(SimulationSettings.collect, given, config)
    cells = experiment_one(collect, preset, out, separated(models), separated(partitions), seeds)
    place = ExperimentPlace("one", out, write)
    summaries = _run(cells, place, overwrite=overwrite)
    place.answer_cells(summaries, as_json=json_)


@experiment.command()
@options_of(SimulationSettings)
def two(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/experiment-two"),
    config: Config = None,
    preset: Preset = "best",
    models: Models = _MODELS_OF_TWO,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Compare numbers of clients: macro-F1 against k = 1 … 8, as a table and a picture.

    Example: edge-client experiment two --preset paper --corpus iemocap --data PATH
    """
    from edge_client.simulation.pictures import draw_sweep
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import experiment_report as report
    from edge_client.simulation.studies.experiments import experiment_two

    collect = partial(SimulationSettings.collect, given, config)
    cells = experiment_two(collect, preset, out, separated(models), seeds)
    place = ExperimentPlace("two", out, write)
    summaries = _run(cells, place, overwrite=overwrite)
    rows = report.rows_of_two(summaries)
    sweep = [
        {"model": summary["model"], "clients": int(summary["column"]), "macro_f1": score}
        for summary in summaries
        for score in summary["each"]["macro_f1"]
    ]
    remark = report.remark_on_steps(summaries)
    draw_sweep(
        sweep, out / "macro-f1.png", "the more, the fewer steps each takes" if remark else ""
    )
    known = report.rows_of_known(summaries)
    text = report.markdown_table(rows) + (f"\n{remark}\n" if remark else "")
    text += "\n" + report.markdown_table(known)
    tables: list[Table | str] = [table_of(rows), table_of(known)]
    if remark:
        tables.insert(1, remark)
    place.answer({"cells": summaries}, tables, text, as_json=json_)


@experiment.command()
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


@experiment.command()
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


@experiment.command()
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


@experiment.command()
@options_of(SimulationSettings)
def poisoning(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/poisoning"),
    config: Config = None,
    strategies: Annotated[
        list[str],
        typer.Option(help="Rows, repeated or separated by commas; fedavg-unbounded has no bounds."),
    ] = _DEFENCES,
    seeds: Seeds = 1,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Let 1 of 5 and 3 of 10 clients be dishonest: UAR of each strategy, as a table and a picture.

    Example: edge-client experiment poisoning --corpus ravdess --data PATH --seeds 3
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import poisoning_study as study
    from edge_client.simulation.studies.experiment_report import markdown_table
    from shared.command import progress_console

    collect = partial(SimulationSettings.collect, given, config)
    cells = study.plan_poisoning(collect, out, separated(strategies), seeds)
    place = ExperimentPlace("poisoning", out, write)
    place.check()
    summaries = study.execute_poisoning(cells, progress_console(), overwrite=overwrite)
    study.draw_poisoning(summaries, out / "poisoning.png")
    rows = study.rows_of_poisoning(summaries)
    place.answer({"cells": summaries}, [table_of(rows)], markdown_table(rows), as_json=json_)


@experiment.command()
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
        _draw_confusion(summary, out)
    place.answer_cells(summaries, as_json=json_)


experiment.command()(fusion)
experiment.command()(starters)
experiment.command()(transfer)
experiment.command()(embeddings)
experiment.command()(attacks)
experiment.command()(pretraining)


def _numbers(texts: list[str]) -> list[int]:
    """Read whole numbers; raise :class:`SettingsError` if they are not."""
    from shared.errors import SettingsError

    try:
        return [int(number) for number in separated(texts)]
    except ValueError as error:
        raise SettingsError(
            f"{','.join(texts)} should be whole numbers, separated by commas."
        ) from error


def _run(cells: "list[Cell]", place: ExperimentPlace, *, overwrite: bool) -> list[dict[str, Any]]:
    """Make the runs of all cells; summarise and draw each cell."""
    from edge_client.simulation.study import execute
    from shared.command import progress_console

    place.check()
    console = progress_console()
    plan = [planned for cell in cells for planned in cell.plan]
    text = f"{len(plan)} runs; stop and start again at any time: {place.out} keeps them."
    console.print(text, markup=False)
    results = execute(plan, console, resume=not overwrite, overwrite=overwrite)
    summaries = []
    for cell in cells:
        own, results = results[: len(cell.plan)], results[len(cell.plan) :]
        summary = cell.summary(own)
        _draw_confusion(summary, place.out)
        summaries.append(summary)
    return summaries


def _draw_confusion(summary: dict[str, Any], out: Path) -> None:
    """Draw what a cell's runs, all together, recognised as what."""
    import numpy as np

    from edge_client.simulation.pictures import draw_confusion
    from shared.metrics import Scores

    scores = Scores.from_confusion(np.array(summary["confusion"]), summary["labels"])
    draw_confusion(scores, out / f"{summary['model']}-{summary['column']}.png")
