"""``edge-client leave``: end a device's part in a federation, and say what stays elsewhere."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_client.device.state import DeviceFolder
from edge_client.enrolment.membership import Membership
from edge_client.enrolment.settling import SERVICE, Host, write_settings
from edge_client.federation.sent import sent_updates
from edge_client.federation.settings import FederationSettings
from shared.errors import FederationError, RunError, TrustError
from shared.protocol.topics import is_name
from shared.settings_file import read_toml
from shared.storage.files import storage_errors
from shared.storage.owners import as_owner


@dataclass(frozen=True, slots=True)
class Left:
    """What a device has left, and what stays of it elsewhere.

    Attributes
    ----------
    federation
        The federation.
    name
        What the device was called there, if it had joined by invitation.
    updates, bytes
        What it had sent; ``None`` where the list of that is damaged.
    config
        The settings file that says now that the device takes part in nothing; ``None`` where none
        named this federation.
    """

    federation: str
    name: str | None
    updates: int | None
    bytes: int | None
    config: Path | None


def leave(
    federation: str | None,
    state: Path | None,
    config: Path | None,
    *,
    confirm: Callable[[str], object] = lambda _: None,
    host: Host | None = None,
) -> Left:
    """Remove from this device what it keeps of a federation, but for its examples and its model.

    Parameters
    ----------
    federation
        Its name; the one of the settings file, if not given.
    state, config
        Where the device's state and settings are; where its service has them, if not given.
    confirm
        Asked, with the federation's name, before anything is removed; raises if it is not to be.
    host
        Where the service is.

    Raises
    ------
    FederationError
        If the device takes part in no such federation.
    RunError
        If the device runs, or is about to join.
    StorageError
        If something cannot be removed or written.
    """
    host = host or Host()
    service, folder, config = host.places(state, config)
    named = read_toml(config) if config.exists() else {}
    default = str(FederationSettings.model_fields["federation"].default)
    federation = federation or str(named.get("federation", default))
    device = DeviceFolder(folder)
    devices = (device, *device.made_of_clips())
    parts = [one.federations / federation for one in devices]
    membership = device.memberships / federation
    # Who was killed while joining left what it had so far beside it, a key among that.
    beside = (device.memberships / f".{federation}{end}" for end in ("", ".before"))
    places = [*parts, membership, *beside]
    # What is no name may lead to any folder, and all in it would go.
    if not (is_name(federation) and any(place.is_dir() for place in places)):
        raise FederationError(
            f"This device takes part in no federation {federation}: {folder} keeps nothing of it.",
            "`edge-client status` lists those it takes part in; --federation names one.",
        )
    stop = f"systemctl stop {SERVICE}" if service else "Ctrl-C ends it"
    if service:
        host.hand_over(folder)
    with ExitStack() as stack:
        with device.as_owner():
            stack.enter_context(device.memberships_taken())
            stack.enter_context(_none_running(devices, f"End it first: {stop}."))
        confirm(federation)
        joined = None
        with suppress(TrustError):  # a damaged one is left all the same
            joined = Membership.find(membership)
        updates, size = _sent(parts)
        # The settings go first: a device that is killed here does not ask to be let in again.
        mine = config.exists() and named.get("federation", default) == federation
        if mine:
            gone = dict.fromkeys(("federation", "client", "broker"))
            with as_owner(config.parent):
                write_settings(config, {**gone, "offline": True})
        with as_owner(folder):
            _remove(places)
    return Left(
        federation=federation,
        name=joined.joined.name if joined else None,
        updates=updates,
        bytes=size,
        config=config if mine else None,
    )


def _sent(parts: Sequence[Path]) -> tuple[int, int] | tuple[None, None]:
    """Add up the updates that the parts have sent, and their bytes, if all lists can be read."""
    try:
        sent = [sent_updates(part) for part in parts]
    except FederationError:  # a device is left all the same
        return None, None
    return sum(each.updates for each in sent), sum(each.bytes for each in sent)


@contextmanager
def _none_running(devices: Sequence[DeviceFolder], remedy: str) -> Iterator[None]:
    """Keep devices from running; raise, with what to do, if one does."""
    with ExitStack() as stack:
        for device in devices:
            try:
                stack.enter_context(device.taken())
            except RunError as error:
                raise RunError(error.problem, remedy) from error
        yield


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        if folder.is_dir():
            with storage_errors(folder):
                shutil.rmtree(folder)
