"""``edge-client sweep``: a study of many runs, on all cores."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from edge_client.commands.compare import Metric, answer
from edge_client.commands.simulate import Mlflow, Ray, Tensorboard
from shared.command.lone_option import command_with

Command = command_with("--ray", alone="local")
"""What makes the command, of ``--ray`` alone too."""

_SUMMARY = "sweep"
"""What the summary in the study's folder is of."""


def sweep(
    study: Annotated[
        Path, typer.Argument(metavar="STUDY.toml", help="Settings, grid, seeds; see the docs.")
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder of all runs; runs/STUDY if not given.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Runs at a time; the cores if not given.")
    ] = None,
    metric: Metric = "uar",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew, do not resume.")
    ] = False,
    tensorboard: Tensorboard = None,
    mlflow: Mlflow = None,
    ray: Ray = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make the runs of a study, several at a time, and compare them; goes on where it was.

    Example: edge-client sweep study.toml --out runs/strategies
    """
    from edge_client.simulation.board import shown_in
    from edge_client.simulation.ray_cluster import cluster_cores, connected
    from edge_client.simulation.run_folder import RunFolder
    from edge_client.simulation.side_by_side import execute_side_by_side, failed
    from edge_client.simulation.studies.pretrained_file import tell_of_heard
    from edge_client.simulation.studies.sweep import finished_groups, read_study
    from edge_client.simulation.study import with_threads
    from shared.command import progress_console
    from shared.tflite import physical_cores

    place = out or Path("runs") / study.stem
    cells = read_study(study, place)
    RunFolder(place).check_above(_SUMMARY)
    console = progress_console()
    with ExitStack() as stack:
        address = stack.enter_context(connected(ray)) if ray else None
        cores = cluster_cores() if ray else physical_cores()
        at_once = jobs or min(cores, physical_cores())
        threads = max(1, cores // at_once)
        plan = [with_threads(one, threads) for own in cells.values() for one in own]
        text = f"{len(plan)} runs, {at_once} at a time; stop and start again: {place} keeps them."
        console.print(text)
        tell_of_heard((one.settings for one in plan), console)
        watch = stack.enter_context(shown_in(tensorboard, mlflow, console, place))
        failures = execute_side_by_side(
            plan, console, place, jobs=at_once, overwrite=overwrite, watch=watch, ray=address
        )
    groups = finished_groups(cells, failures)
    if groups:
        answer(groups, _SUMMARY, place, metric, {"failures": failures}, as_json=json_)
    if failures:
        raise failed(failures, len(plan))
