"""``edge-client simulate``: a federation, or its baseline, on a workstation."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.simulation.settings import SimulationSettings
from shared.command.lone_option import command_with
from shared.settings import options_of

_SUMMARY = "simulate"
"""What the summary of several runs is of."""

Command = command_with("--ray", alone="local")
"""What makes the command, of ``--ray`` alone too."""

Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:PORT]",
        help="Train the clients on a Ray cluster that this machine belongs to (auto: the one that "
        "runs here); alone, on a Ray of its own on this machine. The result is the same.",
    ),
]

Tensorboard = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Show the runs in TensorBoard, which is given this folder."),
]
Mlflow = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Give the runs to MLflow: a folder, or http://HOST:5000."),
]


@options_of(SimulationSettings)
def simulate(
    *,
    given: dict[str, Any],
    out: Annotated[
        Path, typer.Option(help="Folder for the model, the scores and the pictures.")
    ] = Path("runs/simulation"),
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of the settings below.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Start from tried settings: paper or best.")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Runs with so many seeds, from --seed on; gives the spread."
        ),
    ] = 1,
    every_fold: Annotated[
        bool, typer.Option("--every-fold", help="Test on each group of speakers in turn.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that is in the folder.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that is in the folder.")
    ] = False,
    tensorboard: Tensorboard = None,
    mlflow: Mlflow = None,
    ray: Ray = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.")
    ] = False,
) -> None:
    """Train one model in a simulated federation (or centrally: --baseline) and score it.

    Example: edge-client simulate --partition random --model conv --clients 4 --rounds 20
    --corpus ravdess --data PATH --seed 0 --out runs/ravdess
    """
    from edge_client.simulation.board import shown_in
    from edge_client.simulation.presets import completed
    from edge_client.simulation.ray_workers import engines_at
    from edge_client.simulation.report import print_result, print_summary
    from edge_client.simulation.run_folder import RunFolder
    from edge_client.simulation.studies.comparison_pictures import draw_together
    from edge_client.simulation.studies.pretrained_file import tell_of_heard
    from edge_client.simulation.study import Planned, execute, seeds_and_folds
    from edge_client.simulation.summary import summarise
    from shared.command import progress_console

    settings = completed(given, config, preset)
    several = seeds > 1 or every_fold
    if several:
        RunFolder(out).check_above(_SUMMARY)
    plan = []
    for name, changed in seeds_and_folds(settings, seeds, every_fold=every_fold):
        folder, title = (out / name, name) if several else (out, "")
        plan.append(Planned(folder, changed, title))
    console = progress_console()
    tell_of_heard((one.settings for one in plan), console)
    study = out if several else None
    with shown_in(tensorboard, mlflow, console, study) as watch, engines_at(ray) as engines:
        results = execute(
            plan, console, resume=resume, overwrite=overwrite, watch=watch, engines=engines
        )
    if several:
        summary = summarise(results)
        RunFolder(out).write_summary(_SUMMARY, summary)
        draw_together(RunFolder(out), plan, results, summary)
        print_summary(summary, out, as_json=json_)
    else:
        print_result(results[0], out, as_json=json_)
