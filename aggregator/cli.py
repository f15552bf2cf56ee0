"""The command line ``aggregator``."""

from typing import NoReturn

import typer

from aggregator.commands.backup import backup, restore
from aggregator.commands.models import models
from aggregator.commands.serve import serve
from aggregator.commands.status import status
from aggregator.commands.strategies import strategies
from shared import command

app = typer.Typer(
    name="aggregator",
    help="The server's side of a federation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(status)
app.add_typer(models, name="models")
app.command()(strategies)
app.command()(backup)
app.command()(restore)


@app.callback()
def aggregator() -> None:
    """Aggregate the updates of many devices into one model."""


def main() -> NoReturn:
    """Run ``aggregator``."""
    command.run(app)
