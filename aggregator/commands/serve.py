"""``aggregator serve``: a federation, from its first round to its last."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aggregator.server.settings import WEB_ADDRESS, ServeSettings
from shared.command.lone_option import command_with
from shared.settings import options_of

Command = command_with("--web", alone=WEB_ADDRESS)
"""What makes the command, of ``--web`` alone too."""


@options_of(ServeSettings)
def serve(
    *,
    given: dict[str, Any],
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of the settings below.")
    ] = None,
) -> None:
    """Announce rounds, receive updates, aggregate them, and publish the next model.

    It goes on where it was: stop it, or kill it, and start it again with the same settings.

    Example: aggregator serve --embedded-broker --quorum 4 --every 3600 --web
    """
    from aggregator.server.run import serve as serve_federation

    serve_federation(ServeSettings.collect(given, config))
