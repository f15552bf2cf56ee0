"""``edge-client join``: become a member of a federation, with the link of an invitation."""

from pathlib import Path
from typing import Annotated

import typer

from edge_client.settings import WEB_EVERYWHERE


def join(
    link: Annotated[
        str, typer.Argument(metavar="LINK", help="What `aggregator invite` printed, in quotes.")
    ],
    *,
    state: Annotated[
        Path | None, typer.Option(help="Folder for all that this device keeps, as for `run`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings file to write; STATE/edge-client.toml if not given."),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of the device's page; if not given, that of the settings file, or "
            f"{WEB_EVERYWHERE}."
        ),
    ] = None,
    page: Annotated[
        bool, typer.Option(help="Whether it has a page; --no-page is for `run --clips DIR`.")
    ] = True,
) -> None:
    """Join a federation: make this device's key, get its account, write its settings, start it.

    On a device that `install-device.sh` has installed, as root: the service starts, and the page's
    link is printed. Elsewhere, or with another --state or --config, it says how to start the
    device.

    Example: edge-client join 'chorus://hub.local:8883/chorus/kitchen#...'
    """
    from edge_client.join import join_and_start

    join_and_start(link, state, config, web, page=page)
