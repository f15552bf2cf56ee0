"""The command line ``aggregator``."""

from typing import Final, NoReturn

import typer

from shared import command

COMMANDS: Final = {
    "serve": "aggregator.commands.serve:serve",
    "devices": "aggregator.commands.devices:devices",
    "invite": "aggregator.commands.invite:invite",
    "revoke": "aggregator.commands.invite:revoke",
    "keys": "aggregator.commands.keys:keys",
    "status": "aggregator.commands.status:status",
    "strategies": "aggregator.commands.strategies:strategies",
    "backup": "aggregator.commands.backup:backup",
    "restore": "aggregator.commands.backup:restore",
    "models": "aggregator.commands.models:models",
    "export": "aggregator.commands.export:export",
}
"""Where each command is."""

app = typer.Typer(
    name="aggregator",
    help="The server's side of a federation.",
    cls=command.group_of(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def aggregator() -> None:
    """Aggregate the updates of many devices into one model."""


def main() -> NoReturn:
    """Run ``aggregator``."""
    command.run(app)
