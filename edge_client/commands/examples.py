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
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@examples.command("list")
def list_(*, state: State = None, json_: Json = False) -> None:
    """List the utterances, the newest first, and count them.

    Example: edge-client examples list --json
    """
    import json

    settings = _settings(state)
    known, counts = [], {}
    if _path(settings).exists():
        with _open(settings) as store:
            known, counts = store.recent(-1), store.counts()
    if json_:
        listed = {"counts": counts, "examples": [one.to_dict() for one in known]}
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    for one in known:
        guess = f"recognised {one.emotion}" if one.emotion else "no model then"
        said = f"labelled {one.label}" if one.label else "not labelled"
        when = f"{one.heard_at.astimezone():%Y-%m-%d %H:%M:%S}"
        typer.echo(f"{one.identifier:6}  {when}  {one.seconds:4.1f} s  {guess:18}  {said}")
    named = ", ".join(f"{name} {count}" for name, count in counts.items())
    typer.echo(f"{len(known)} utterances in {_path(settings)}" + (f": {named}" if named else "."))


@examples.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="Where to write them (.npz).")],
    *,
    state: State = None,
    json_: Json = False,
) -> None:
    """Write all examples to a file: features and labels, no sound.

    Example: edge-client examples export mine.npz
    """
    import json

    from shared.errors import CorpusError

    settings = _settings(state)
    if not _path(settings).exists():
        raise CorpusError(f"There are no examples in {settings.folder}.")
    with _open(settings) as store:
        count = store.export(out)
    typer.echo(json.dumps({"exported": count}) if json_ else f"{count} examples: {out}")


@examples.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.")],
    *,
    state: State = None,
    json_: Json = False,
) -> None:
    """Take in the examples of a file; those that are here already are left out.

    Example: edge-client examples import mine.npz
    """
    import json

    with _open(_settings(state)) as store:
        count = store.import_(source)
    typer.echo(json.dumps({"imported": count}) if json_ else f"{count} new examples.")


@examples.command("delete")
def delete(
    *,
    state: State = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_: Json = False,
) -> None:
    """Delete everything this device has heard, been told, and made of it. The global model stays.

    Example: edge-client examples delete --yes
    """
    import json

    from edge_client.device.state import StateFolder

    settings = _settings(state)
    count = 0
    if settings.folder.exists():
        folder = StateFolder(settings.folder)
        with folder.taken():
            if folder.examples.exists():
                with _open(settings) as store:
                    count = sum(store.counts().values())
            if not yes:
                question = f"Delete {count} utterances and all made of them in {settings.folder}?"
                typer.confirm(question, abort=True, err=True)
            folder.delete_personal()
            if folder.examples.exists():
                with _open(settings) as store:
                    store.delete_all()
    typer.echo(json.dumps({"deleted": count}) if json_ else f"{count} utterances deleted.")


def _settings(state: Path | None) -> "DeviceSettings":
    from edge_client.device.settings import DeviceSettings

    return DeviceSettings.collect({"state": state})


def _path(settings: "DeviceSettings") -> Path:
    from edge_client.device.state import StateFolder

    return StateFolder(settings.folder).examples


def _open(settings: "DeviceSettings") -> "ExampleStore":
    from edge_client.device.store import ExampleStore

    return ExampleStore(_path(settings), limit_mb=settings.store_mb)
