"""``aggregator devices``: who belongs to a federation by invitation."""

from typing import Annotated, Any

import typer

from aggregator.commands.options import Config
from aggregator.settings import StateSettings
from shared.settings import options_of


@options_of(StateSettings)
def devices(
    *,
    given: dict[str, Any],
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON on standard output.")
    ] = False,
) -> None:
    """List the devices that have joined, and those that are invited, and when they were last seen.

    The score is that of the last ten rounds' models on what the device holds out (UAR).

    Example: aggregator devices --state /var/lib/chorus-aggregator
    """
    import json

    from aggregator.commands.report import devices_of
    from aggregator.commands.tables import devices_table
    from aggregator.enrolment.links import members_in
    from aggregator.ledger import History
    from aggregator.ledger.folder import FederationFolder
    from shared.command import answer_console

    folder = FederationFolder(StateSettings.find(given, config))
    with members_in(folder) as members, History(folder.ledger) as history:
        found = devices_of(history, members)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    answer_console().print(devices_table(found))
