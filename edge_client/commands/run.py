"""``edge-client run``: a device that listens."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_client.settings import WEB_ADDRESS, RunSettings
from shared.command.lone_option import command_with
from shared.settings import options_of

Command = command_with("--web", alone=WEB_ADDRESS)
"""What makes the command, of ``--web`` alone too."""


@options_of(RunSettings)
def run(
    *,
    given: dict[str, Any],
    config: Annotated[
        Path | None, typer.Option(help="TOML file with any of the settings below.")
    ] = None,
) -> None:
    """Listen, recognise the emotion of each utterance, and learn from what its person says.

    In the terminal: Enter confirms, each label has a key, d discards, u undoes, p pauses, q ends.

    Example: edge-client run --mic --web
    """
    # Its matrices are small. More threads of NumPy only wait for each other, and take the cores
    # from those that compute the model. To be said before NumPy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from edge_client.run import run_device

    run_device(RunSettings.collect(given, config))
