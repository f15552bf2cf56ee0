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
    """Show a federation's settings, curves and pictures in TensorBoard or MLflow.

    MLflow also gets the current model.

    It reads the state folder, whether `aggregator serve` runs or not; the same command later adds
    what is new. `aggregator models export` writes the model alone.

    Example: aggregator export --mlflow http://lab:5000
    """
    from aggregator.commands.curves import tracked_run
    from aggregator.commands.pictures import check_can_draw, draw_federation
    from aggregator.ledger import History
    from aggregator.ledger.folder import FederationFolder
    from shared.command import progress_console
    from shared.errors import SettingsError

    if not (tensorboard or mlflow):
        raise SettingsError(
            "Nothing says where the federation is to be shown.", "Give --tensorboard or --mlflow."
        )
    check_can_draw()
    console = progress_console()
    with (
        History(FederationFolder(StateSettings.find(given, config)).ledger) as history,
        TemporaryDirectory(prefix="chorus-") as folder,
    ):
        tracked = tracked_run(history)
        pictures = draw_federation(history, tracked.points, Path(folder))
        if tensorboard:
            _write_events(tracked, pictures, tensorboard / tracked.name)
        if mlflow:
            from shared.tracking.mlflow_server import MlflowServer

            tracked.files = {"pictures": pictures, "model": _model_of(history, Path(folder))}
            MlflowServer(mlflow).deliver(tracked)
    console.print(f"{len(tracked.points)} rounds of {tracked.name} are shown.", soft_wrap=True)


def _write_events(tracked: "TrackedRun", pictures: list[Path], folder: Path) -> None:
    """Write all of it anew."""
    from shared.settings_file import toml_of
    from shared.tracking import EventsFile
    from shared.tracking.events_file import check_tensorboard, own_folder

    check_tensorboard(folder.parent)
    file = EventsFile(own_folder(folder, tracked.identity.encode()))
    file.begin(0, toml_of(tracked.settings))
    for point in tracked.points:
        file.show(point)
    last = tracked.points[-1].step if tracked.points else 0
    for picture in pictures:
        file.show_picture(last, picture)


def _model_of(history: "History", folder: Path) -> list[Path]:
    """Write the current model, and what devices' statistics begin with where there is that."""
    from aggregator.ledger.model_files import files_of

    current = history.current()
    if not current:
        return []
    model = folder / "model.safetensors"
    start = files_of(history).export(current.exported, model, current.statistics)
    return [model, *([start] if start else [])]
