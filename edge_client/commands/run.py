"""``edge-client run``: a device that listens."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from edge_client.settings import WEB_ADDRESS, RunSettings
from shared.settings import options_of


class Command(TyperCommand):
    """Lets ``--web`` stand alone, for which Typer has no way of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in what ``--web`` alone stands for."""
        whole = []
        for word, after in zip(args, [*args[1:], "-"], strict=True):
            whole.append(word)
            if word == "--web" and after.startswith("-"):
                whole.append(WEB_ADDRESS)
        return super().parse_args(ctx, whole)


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

    Example: edge-client run --mic --offline --weights model.safetensors --web
    """
    from edge_client.run import run_device

    run_device(RunSettings.collect(given, config))
