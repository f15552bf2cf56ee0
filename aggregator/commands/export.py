"""``aggregator export``: a federation in the programs that a group keeps results in."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import StateSettings
from shared.settings import options_of

if TYPE_CHECKING:
    from aggregator.ledger import History
    from shared.tracking import TrackedRun


@options_of(StateSettings)
def export(
    *,
    given: dict[str, Any],
    config: Config = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that TensorBoard is given.")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="A folder of MLflow, or http://HOST:5000.")
    ] = None,
) -> None:
    """Show a federation's settings and curves in TensorBoard or MLflow, there with its model.

    It reads the state folder, whether `aggregator serve` runs or not; the same command later adds
    what is new. `aggregator models export` writes the model alone.

    Example: aggregator export --mlflow http://lab:5000
    """
    from aggregator.commands.curves import tracked_run
    from aggregator.ledger import History
    from aggregator.ledger.folder import FederationFolder
    from shared.command import progress_console
    from shared.errors import SettingsError

    if not (tensorboard or mlflow):
        raise SettingsError(
            "Nothing says where the federation is to be shown.", "Give --tensorboard or --mlflow."
        )
    console = progress_console()
    with History(FederationFolder(StateSettings.find(given, config)).ledger) as history:
        tracked = tracked_run(history)
        if tensorboard:
            _write_events(tracked, tensorboard / tracked.name)
        if mlflow:
            _deliver(tracked, history, mlflow)
    console.print(f"{len(tracked.points)} rounds of {tracked.name} are shown.", soft_wrap=True)


def _write_events(tracked: "TrackedRun", folder: Path) -> None:
    """Write all of it anew."""
    from shared.settings_file import toml_of
    from shared.tracking import EventsFile
    from shared.tracking.events_file import check_tensorboard

    check_tensorboard(folder)
    file = EventsFile(folder)
    file.begin(0, toml_of(tracked.settings))
    for point in tracked.points:
        file.show(point)


def _deliver(tracked: "TrackedRun", history: "History", uri: str) -> None:
    """Bring to MLflow what it has not, and the current model."""
    from aggregator.ledger.model_files import files_of
    from shared.tracking.mlflow_server import MlflowServer

    server = MlflowServer(uri)
    with TemporaryDirectory(prefix="chorus-") as folder:
        if current := history.current():
            model = Path(folder, "model.safetensors")
            files = files_of(history)
            files.export(current.exported, model)
            start = files.export_start(current, model)
            tracked.files = {"model": [model, *([start] if start else [])]}
        server.deliver(tracked)
