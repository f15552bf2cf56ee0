"""``edge-client examples``: what a device keeps of its person: list, export, import, delete."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_client.device.settings import DeviceSettings
    from edge_client.device.store import ExampleStore

examples = typer.Typer(
    help="What this device keeps of what it heard: list, export, import, delete.",
    no_args_is_help=True,
)

State = Annotated[
    Path | None, typer.Option(help="The state folder, where it is not the usual one.")
]
Config = Annotated[Path | None, typer.Option(help="TOML file of `edge-client run`, for its state.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@examples.command("list")
def list_(*, state: State = None, config: Config = None, json_: Json = False) -> None:
    """List the utterances, the newest first, and count them.

    Example: edge-client examples list --json
    """
    from pydantic_core import to_json

    from edge_client.device.opening import not_learned_from

    settings = _settings(state, config)
    known, counts, elsewhere, left = [], {}, {}, None
    if _path(settings).exists():
        with _open(settings) as store:
            known, counts = store.recent(-1), store.counts()
            elsewhere, left = store.counts_elsewhere(), not_learned_from(store)
    if json_:
        listed = {
            "counts": counts,
            "other_front_ends": elsewhere,
            "examples": [one.to_dict() for one in known],
        }
        typer.echo(to_json(listed, indent=2, inf_nan_mode="null"))
        return
    for one in known:
        guess = f"recognised {one.predicted}" if one.predicted else "no model then"
        said = f"labelled {one.label}" if one.label else "not labelled"
        when = f"{one.heard_at.astimezone():%Y-%m-%d %H:%M:%S}"
        typer.echo(f"{one.identifier:6}  {when}  {one.seconds:4.1f} s  {guess:18}  {said}")
    named = ", ".join(f"{name} {count}" for name, count in counts.items())
    typer.echo(f"{len(known)} utterances in {_path(settings)}" + (f": {named}" if named else "."))
    if left:
        typer.echo(left)


@examples.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="Where to write them (.npz).")],
    *,
    state: State = None,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Write all examples to a file: features and labels, no sound.

    Example: edge-client examples export mine.npz
    """
    import json

    from edge_client.device import archive
    from shared.errors import CorpusError
    from shared.storage.files import refuse_replacing

    settings = _settings(state, config)
    refuse_replacing([_path(settings)], [out])
    if not _path(settings).exists():
        raise CorpusError(f"There are no examples in {settings.folder}.", "Check --state.")
    with _open(settings) as store:
        count, elsewhere = archive.export(store, out), store.counts_elsewhere()
    if json_:
        typer.echo(json.dumps({"exported": count, "other_front_ends": elsewhere}))
        return
    typer.echo(f"{count} examples: {out}")
    for front_end, others in elsewhere.items():
        typer.echo(f"{others} examples of {front_end} are not among them.")


@examples.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")],
    *,
    state: State = None,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Take in the examples of a file; those that are here already are left out.

    Example: edge-client examples import mine.npz
    """
    import json

    from edge_client.device import archive
    from edge_client.device.beginning import following
    from edge_client.device.numbers import largest_given
    from edge_client.device.opening import not_learned_from
    from edge_client.device.state import DeviceFolder
    from shared.task import Task

    settings = _settings(state, config)
    if not _path(settings).exists():
        settings = following(settings, Task(settings.task.labels, archive.read(source).front_end))
    with _open(settings) as store:
        store.number_past(largest_given(DeviceFolder(settings.folder)))
        count, left = archive.import_(store, source), not_learned_from(store)
        store.remember_task()
    typer.echo(json.dumps({"imported": count}) if json_ else f"{count} new examples.")
    if left and not json_:
        typer.echo(left)


@examples.command("delete")
def delete(
    *,
    state: State = None,
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_: Json = False,
) -> None:
    """Delete everything this device has heard, been told, and made of it. The global model stays.

    That includes what was made of labelled clips (run --clips DIR); the clips themselves stay.

    Example: edge-client examples delete --yes
    """
    import json
    from contextlib import ExitStack

    import edge_client.device.store  # noqa: F401 -- before it acts as the folder's owner: see as_owner
    from edge_client.device.state import DeviceFolder

    settings = _settings(state, config)
    folder = DeviceFolder(settings.folder)
    count: int | None = 0
    if folder.path.exists():
        with folder.as_owner(), ExitStack() as stack:
            for one in (folder, *folder.made_of_clips()):
                stack.enter_context(one.taken())
            count = _count(settings)
            if not yes:
                what = "everything" if count is None else f"{count} utterances and all made of them"
                typer.confirm(f"Delete {what} in {folder.path}?", abort=True, err=True)
            folder.delete_everything()
    said = "Everything was deleted." if count is None else f"{count} utterances deleted."
    typer.echo(json.dumps({"deleted": count}) if json_ else said)


def _count(settings: "DeviceSettings") -> int | None:
    """Count the utterances; ``None`` if the store cannot be opened."""
    from shared.errors import StorageError

    if not _path(settings).exists():
        return 0
    try:
        with _open(settings) as store:
            return sum({**store.counts(), **store.counts_elsewhere()}.values())
    except StorageError:
        return None


def _settings(state: Path | None, config: Path | None) -> "DeviceSettings":
    """Collect the settings; a deletion at which a process was killed is finished first."""
    from edge_client.device.settings import DeviceSettings
    from edge_client.device.state import DeviceFolder

    settings = DeviceSettings.collect_part({"state": state}, config)
    DeviceFolder(settings.folder).finish_deleting()
    return settings


def _path(settings: "DeviceSettings") -> Path:
    from edge_client.device.state import DeviceFolder

    return DeviceFolder(settings.folder).examples


def _open(settings: "DeviceSettings") -> "ExampleStore":
    from edge_client.device.store import ExampleStore

    path = _path(settings)
    # A store knows what it is used for; a new one is to be told.
    task = None if path.exists() else settings.task
    return ExampleStore(path, limit_mb=settings.store_mb, task=task)
