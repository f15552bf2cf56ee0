"""``edge-client devices``: which microphones there are."""

from typing import Annotated

import typer


def devices(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list as JSON on standard output.")
    ] = False,
) -> None:
    """List the microphones; the one that is heard when none is named is marked with a star.

    Name one of them by its number, or by a part of its name: edge-client run --mic --device usb

    Example: edge-client devices --json
    """
    import json
    from dataclasses import asdict

    from edge_client.hearing.devices import find_input, list_inputs

    inputs = list_inputs()
    if as_json:
        typer.echo(json.dumps([asdict(device) for device in inputs], indent=2, ensure_ascii=False))
        return
    if not inputs:
        find_input(None)  # raises the error that says why
    for device in inputs:
        typer.echo(
            f"{'*' if device.default else ' '} {device.index:>2}  {device.name}  "
            f"({device.host}, channels: {device.channels}, {device.rate:g} Hz)"
        )
