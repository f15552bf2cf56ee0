"""``edge-client join``: all that makes a device a member, put together."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# Imported by root, as the owner of the folder may not be allowed to read them: see as_owner.
import cryptography.hazmat.backends.openssl.backend
import cryptography.hazmat.primitives.asymmetric.ed25519
import cryptography.hazmat.primitives.asymmetric.x25519
import cryptography.hazmat.primitives.kdf.hkdf
import cryptography.hazmat.primitives.serialization  # noqa: F401

from edge_client.device.settings import StateSettings
from edge_client.device.state import DeviceFolder
from edge_client.enrolment.asking import ask_to_join, broker_of
from edge_client.enrolment.membership import MembershipFolder
from edge_client.enrolment.settling import Host, changed_settings, run_command, write_settings
from edge_client.settings import WEB_EVERYWHERE, WEB_PORT, RunSettings
from shared.command import progress_console
from shared.mqtt.addresses import split_address
from shared.settings_file import read_toml
from shared.storage.owners import as_owner
from shared.trust.link import Link
from shared.web.access import kept_token
from shared.web.link import link as page_link
from shared.web.link import show_link


def join_and_start(
    text: str,
    state: Path | None,
    config: Path | None,
    web: str | None,
    *,
    page: bool = True,
    host: Host | None = None,
    run: Callable[[Sequence[str]], int] = run_command,
) -> None:
    """Join a federation, write the device's settings, and start its service where there is one.

    Parameters
    ----------
    text
        The link.
    state, config
        Where the device's state and settings are; where its service has them, if not given.
    web
        HOST:PORT of the device's page; ``None``: where its settings have it, and if they have none,
        where the whole network reaches it.
    page
        Whether it has one.
    host
        Where the service is.
    run
        Runs a command of the system.

    Raises
    ------
    ChorusError
        Whatever keeps it from joining, or from being started.
    """
    told, console, host = Link.of(text), progress_console(), host or Host()
    service, folder, config = host.places(state, config)
    device = DeviceFolder(folder)
    with device.as_owner():
        device.make()
    if service:
        host.hand_over(folder)
    with ExitStack() as stack:
        with as_owner(folder):
            stack.enter_context(device.memberships_taken())
            # The settings name what is there, and may be used from any folder.
            place = MembershipFolder(device.memberships.resolve() / told.federation)
        with as_owner(config.parent):
            web = (web or _page_in(config)) if page else None
            # What is wrong with them is said before the link is used up, and by no service later.
            changed_settings(config, _settings(told, place, web))
        with as_owner(folder):
            ask_to_join(told, place.path)
            token = kept_token(device.token)
        with as_owner(config.parent):
            write_settings(config, _settings(told, place, web))
    console.print(f"This device is {told.name} in the federation {told.federation}.")
    if not (service and host.start(run)):
        # What runs has read its membership and its settings, and reads them no more.
        what = (
            f"A device runs with {folder} and knows nothing of this yet. End it, and start it again"
            if any(one.runs for one in (device, *device.made_of_clips()))
            else "No service was started for it. Start the device"
        )
        console.print(f"{what} with: {_starting(folder, config)}", soft_wrap=True)
    if web:
        address, port = split_address(web, WEB_PORT)
        show_link(page_link(address, port, token))


def _starting(folder: Path, config: Path) -> str:
    """Write the command that starts the device with what it has joined with."""
    words = ["edge-client", "run", "--mic"]
    if folder != StateSettings.collect_part({}, config).folder:
        words += ["--state", str(folder)]
    return shlex.join([*words, "--config", str(config)])


def _page_in(config: Path) -> Any:
    """Say where the page is by a settings file. Who reaches it is not changed by joining again."""
    return (read_toml(config) if config.exists() else {}).get("web", WEB_EVERYWHERE)


def _settings(told: Link, place: MembershipFolder, web: str | None) -> dict[str, Any]:
    """Give what the settings file of a device that has joined is to say.

    Raises
    ------
    SettingsError
        If a device cannot run with that.
    """
    broker = broker_of(told, place)
    known = broker.model_dump(mode="json", exclude_none=True, exclude={"keepalive"})
    given = {"federation": told.federation, "client": told.name, "web": web, "broker": known}
    RunSettings.parse({**given, "mic": True})
    return {**given, "offline": None}
