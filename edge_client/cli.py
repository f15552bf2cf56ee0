"""The command line ``edge-client``."""

from typing import Final, NoReturn

import typer

from shared import command

COMMANDS: Final = {
    "run": "edge_client.commands.run:run",
    "join": "edge_client.commands.join:join",
    "leave": "edge_client.commands.leave:leave",
    "status": "edge_client.commands.status:status",
    "devices": "edge_client.commands.devices:devices",
    "simulate": "edge_client.commands.simulate:simulate",
    "sweep": "edge_client.commands.sweep:sweep",
    "compare": "edge_client.commands.compare:compare",
    "home-assistant": "edge_client.commands.home_assistant:home_assistant",
    "starter": "edge_client.commands.starter:starter",
    "pretrain": "edge_client.commands.pretrain:pretrain",
    "features": "edge_client.commands.features:features",
    "corpora": "edge_client.commands.corpora:corpora",
    "examples": "edge_client.commands.examples:examples",
    "experiment": "edge_client.commands.experiment.group:experiment",
}
"""Where each command is."""

app = typer.Typer(
    name="edge-client",
    help="Speech emotion on a device, and federations of such devices in simulation.",
    cls=command.group_of(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def edge_client() -> None:
    """Recognise, label and learn on a device, or simulate a federation of them."""


def main() -> NoReturn:
    """Run ``edge-client``."""
    command.run(app)
