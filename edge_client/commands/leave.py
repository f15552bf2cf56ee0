"""``edge-client leave``: take part in a federation no more."""

from pathlib import Path
from typing import Annotated

import typer


def leave(
    *,
    federation: Annotated[
        str | None, typer.Option(help="Its name; the one in the settings file if not given.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder with all that this device keeps, as for `run`.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings file; STATE/edge-client.toml if not given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print what was left as JSON on standard output.")
    ] = False,
) -> None:
    """Leave a federation: remove this device's key, its account and what waits to be sent.

    Examples and the model stay. What was sent cannot be called back. The settings file, if it named
    this federation, then says that the device is offline.

    Example: edge-client leave --federation living-room
    """
    import json
    from dataclasses import asdict

    from edge_client.leave import leave as leave_federation

    def confirm(name: str) -> None:
        if not yes:
            typer.confirm(f"Leave the federation {name}?", abort=True, err=True)

    left = leave_federation(federation, state, config, confirm=confirm)
    if json_:
        typer.echo(json.dumps(asdict(left), default=str))
        return
    typer.echo(f"This device has left the federation {left.federation}.")
    if left.updates is None:
        typer.echo(
            "How many updates it had sent is unknown: the list of them was damaged. What was sent "
            "cannot be called back: later models are made of it, and the aggregator keeps its "
            "record of that."
        )
    elif left.updates:
        one = left.updates == 1
        updates, they = ("1 update", "It") if one else (f"{left.updates} updates", "They")
        typer.echo(
            f"It had sent {updates}, {left.bytes:,} bytes. {they} cannot be called back: later "
            "models are made of what was sent, and the aggregator keeps its record of that."
        )
    if left.name:
        typer.echo(f"Who runs it closes the account with: aggregator revoke {left.name}")
    typer.echo(
        f"{left.config} says that it is offline from now on."
        if left.config
        else "Start it with --offline, or it asks the broker for a federation again."
    )
