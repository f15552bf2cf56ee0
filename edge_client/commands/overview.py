"""What a device holds, at one look: for ``edge-client status``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.federation.client_state import remembered
from shared.storage.files import sha256_of

if TYPE_CHECKING:
    from rich.table import Table


def overview(settings: DeviceSettings) -> dict[str, Any]:
    """Read a state folder, whether a device runs with it or not.

    Returns
    -------
    dict
        ``state`` (the folder), ``utterances``, ``labelled`` (by label), ``other_front_ends``
        (utterances by the front end that this device no longer uses), ``model`` (``digest`` and
        ``bytes`` of its file, or ``None``), ``federations`` (by name: round, updates accepted, why
        the last was refused, the update that waits to be sent, how many more labelled examples the
        device needs), and ``clips`` (the federations of
        each device that was made of labelled clips, by its name).
    """
    state = DeviceFolder(settings.folder)
    counts: dict[str, int] = {}
    elsewhere: dict[str, int] = {}
    utterances = 0
    if state.examples.exists():
        with ExampleStore(state.examples, limit_mb=settings.store_mb) as store:
            counts, elsewhere = store.counts(), store.counts_elsewhere()
            utterances = sum({**counts, **elsewhere}.values()) - counts["discarded"]
    return {
        "state": str(state.path),
        "utterances": utterances,
        "labelled": counts,
        "other_front_ends": elsewhere,
        "model": _model(state.model),
        "federations": _federations(state),
        "clips": {made.path.name: _federations(made) for made in state.made_of_clips()},
    }


def _model(file: Path) -> dict[str, Any] | None:
    """Give the name that `aggregator models list` has for the model, too, and its size."""
    if not file.exists():
        return None
    return {"digest": sha256_of(file), "bytes": file.stat().st_size}


def _federations(state: DeviceFolder) -> dict[str, Any]:
    return {folder.name: remembered(folder) for folder in sorted(state.federations.glob("*"))}


def overview_table(found: dict[str, Any]) -> "Table":
    """Show :func:`overview` as a table."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    labelled = ", ".join(f"{name} {count}" for name, count in found["labelled"].items())
    table.add_row("state folder", found["state"])
    table.add_row("utterances", str(found["utterances"]))
    table.add_row("labelled", labelled or "none")
    for front_end, count in found["other_front_ends"].items():
        table.add_row(f"of {front_end}", f"{count}, not learned from")
    model = found["model"]
    table.add_row(
        "model", f"{model['digest'][:12]}, {model['bytes']:,} bytes" if model else "none yet"
    )
    for name, part in found["federations"].items():
        table.add_row(f"federation {name}", _told(part))
    for clips, parts in found["clips"].items():
        for name, part in parts.items():
            table.add_row(f"clips as {clips}, federation {name}", _told(part))
    return table


def _told(part: dict[str, Any]) -> str:
    told = f"round {part['round']}, {part['accepted']} updates accepted"
    if part["waiting"]:
        told += ", one waits to be sent"
    if part["lacks"]:
        told += f"; more labelled examples needed: {part['lacks']}"
    if part["refused"]:
        told += f"; the last was refused: {part['refused']}"
    return told
