"""``aggregator status``: what a federation has come to."""

from typing import Annotated, Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import StateSettings
from shared.settings import options_of


@options_of(StateSettings)
def status(
    *,
    given: dict[str, Any],
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON on standard output.")
    ] = False,
) -> None:
    """Show rounds, clients and when they were last seen, updates, bytes, and the current model.

    It reads the state folder, whether `aggregator serve` runs or not.

    Example: aggregator status --state /var/lib/chorus-aggregator --json
    """
    import json

    from aggregator.commands.report import status_of
    from aggregator.commands.tables import status_tables
    from aggregator.ledger import History
    from aggregator.ledger.folder import FederationFolder
    from shared.command import answer_console

    folder = FederationFolder(StateSettings.find(given, config))
    with History(folder.ledger) as history:
        found = status_of(history)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = answer_console()
    for table in status_tables(found):
        console.print(table)
        console.print()
