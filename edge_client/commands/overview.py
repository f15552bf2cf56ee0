"""What a device holds, at one look: for ``edge-client status``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edge_client.device.beginning import begun
from edge_client.device.settings import DeviceSettings
from edge_client.device.state import DeviceFolder
from edge_client.device.store import ExampleStore
from edge_client.federation.client_state import remembered
from edge_client.federation.sent import sent_updates
from shared.command.log_bound import printable
from shared.errors import SettingsError, WeightsError
from shared.model_notes.model_card import NOT_SPEECH, ModelCard, card_of
from shared.starter import STARTER
from shared.storage.files import sha256_of
from shared.storage.tensor_file import TensorFile

if TYPE_CHECKING:
    from rich.table import Table


def overview(settings: DeviceSettings) -> dict[str, Any]:
    """Read a state folder, whether a device runs with it or not.

    Returns
    -------
    dict
        ``state`` (the folder), ``utterances``, ``labelled`` (by label), ``other_front_ends``
        (utterances by the front end that this device no longer uses), ``model`` (``digest`` and
        ``bytes`` of its file, or ``None``), ``starter`` (whether that is the one of the package),
        ``card`` (what taught it and what it reaches, or ``None``), ``federations`` (by name: round,
        updates accepted, why the last was refused, the update that waits to be sent, how many more
        labelled examples the device needs, the digest of the model it has, and what was sent), and
        ``clips`` (the federations of each device that was made of labelled clips, by its name).
    """
    state = DeviceFolder(settings.folder)
    state.finish_deleting()
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
        **_model(state, settings),
        "federations": _federations(state),
        "clips": {made.path.name: _federations(made) for made in state.made_of_clips()},
    }


def _model(state: DeviceFolder, settings: DeviceSettings) -> dict[str, Any]:
    """Tell of the model that is kept, or of the starter, if a device would begin with that.

    Devices made of labelled clips recognise nothing: theirs are told with their federations.

    Raises
    ------
    WeightsError
        If its file cannot be read.
    """
    heard = state.examples.exists() or not (state.federations.is_dir() or state.made_of_clips())
    starter = heard and not state.model.exists() and _begins_with_starter(settings)
    file = STARTER if starter else state.model
    if not file.exists():
        return {"model": None, "starter": False, "card": None}
    try:
        card = card_of(TensorFile(file).metadata)
    except WeightsError:
        card = None  # the device says that it is damaged
    try:
        # The digest is the name that `aggregator models list` has for the model, too.
        facts = {"digest": sha256_of(file), "bytes": file.stat().st_size}
    except OSError as error:
        raise WeightsError(f"Cannot read {file}: {error.strerror}.") from error
    return {"model": facts, "starter": starter, "card": card and card.model_dump()}


def _begins_with_starter(settings: DeviceSettings) -> bool:
    try:
        return begun(settings).starter
    except SettingsError:  # it hears through an encoder of one's own, whose file is not named here
        return False


def _federations(state: DeviceFolder) -> dict[str, Any]:
    return {
        folder.name: {**remembered(folder), "sent": sent_updates(folder).to_dict()}
        for folder in sorted(state.federations.glob("*"))
    }


def overview_table(found: dict[str, Any]) -> "Table":
    """Show :func:`overview` as a table."""
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for title, text in _rows(found):
        # What an aggregator said, or a model's card, is somebody else's.
        table.add_row(printable(title), printable(text))
    return table


def _rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    labelled = ", ".join(f"{name} {count}" for name, count in found["labelled"].items())
    yield "state folder", found["state"]
    yield "utterances", str(found["utterances"])
    yield "labelled", labelled or "none"
    for front_end, count in found["other_front_ends"].items():
        yield f"of {front_end}", f"{count}, not learned from"
    yield from _told_of_model(found)
    for name, part in found["federations"].items():
        yield f"federation {name}", _told(part)
    for clips, parts in found["clips"].items():
        for name, part in parts.items():
            yield f"clips as {clips}, federation {name}", _told(part)


def _told_of_model(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Say which model there is, what taught it, and what it reaches."""
    model = found["model"]
    name = f"{model['digest'][:12]}, {model['bytes']:,} bytes" if model else "none yet"
    yield "model", f"{name}, the starter of the package" if found["starter"] else name
    if not found["card"]:
        return
    card = ModelCard.model_validate(found["card"])
    yield "taught by", card.teachers
    for title, uars in card.reached.items():
        reached = ", ".join(f"{uar:.2f} with {known}" for known, uar in uars.items())
        yield f"UAR on {title}", f"{reached} of a speaker's moods heard before"
    if card.is_synthetic:
        yield "", NOT_SPEECH


def _told(part: dict[str, Any]) -> str:
    told = f"round {part['round']}, {part['accepted']} updates accepted"
    if part["model"]:
        told += f", model {part['model'][:12]}"
    if sent := part["sent"]["updates"]:
        told += f", {sent} sent with {part['sent']['bytes']:,} bytes"
    if part["waiting"]:
        told += ", one waits to be sent"
    if part["lacks"]:
        told += f"; more labelled examples needed: {part['lacks']}"
    if part["budget"]:
        told += f"; privacy budget: {part['budget']}"
    if part["objection"]:
        told += f"; {part['objection'].rstrip('.')}"
    if part["refused"]:
        told += f"; the last was refused: {part['refused']}"
    return told
