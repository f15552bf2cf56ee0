"""``edge-client home-assistant``: what Home Assistant's broker keeps of this device."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.settings import AppearanceSettings
from shared.settings import options_of

home_assistant = typer.Typer(
    help="What Home Assistant's broker keeps of this device: remove it.",
    no_args_is_help=True,
)


@home_assistant.callback()
def home() -> None:
    """Look after what Home Assistant's broker keeps of this device."""


@home_assistant.command("remove")
@options_of(AppearanceSettings)
def remove(
    *,
    given: dict[str, Any],
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of the settings of `edge-client run`.")
    ] = None,
) -> None:
    """Let Home Assistant forget this device; stop `edge-client run` first.

    Give it the name, the federation and the broker with which the device appeared.

    Example: edge-client home-assistant remove --home-assistant homeassistant.local
    """
    from edge_client.device.state import DeviceFolder
    from edge_client.faces.home_assistant import PATIENCE
    from edge_client.faces.home_assistant import remove as remove_from
    from edge_client.run import appearance
    from shared.command import progress_console
    from shared.errors import SettingsError

    settings = AppearanceSettings.collect_part(given, config)
    if settings.home_assistant is None:
        raise SettingsError(
            "It is not known where Home Assistant's broker is.",
            "Give it with --home-assistant HOST, or the --config of `edge-client run`.",
        )
    shown_as = appearance(settings, settings.home_assistant)
    console = progress_console()
    host, port = settings.home_assistant.address
    waits = f"Asking the broker {host}:{port} to forget {shown_as.node}; it has {PATIENCE:.0f} s."
    with DeviceFolder(settings.folder).taken():
        console.print(waits, soft_wrap=True)
        remove_from(settings.home_assistant, shown_as)
    said = f"Home Assistant's broker keeps nothing of {shown_as.node} any more."
    console.print(said, soft_wrap=True)
