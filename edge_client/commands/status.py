"""``edge-client status``: what this device holds, and its part in federations."""

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.device.settings import DeviceSettings
from shared.settings import options_of


@options_of(DeviceSettings)
def status(
    *,
    given: dict[str, Any],
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of the settings of `edge-client run`.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON on standard output.")
    ] = False,
) -> None:
    """Show the examples, the model, and what was sent to federations, also with labelled clips.

    It reads the state folder, whether `edge-client run` runs or not.

    Example: edge-client status --json
    """
    import json

    from edge_client.commands.overview import overview, overview_table
    from shared.command import answer_console

    found = overview(DeviceSettings.collect_part(given, config))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    answer_console().print(overview_table(found))
