"""The command line ``edge-client``."""

from typing import NoReturn

import typer

from edge_client.commands.corpora import corpora
from edge_client.commands.devices import devices
from edge_client.commands.examples import examples
from edge_client.commands.experiment import experiment
from edge_client.commands.features import features
from edge_client.commands.run import RunCommand, run
from edge_client.commands.simulate import simulate
from edge_client.commands.status import status
from shared import command

app = typer.Typer(
    name="edge-client",
    help="Speech emotion on a device, and federations of such devices in simulation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command(cls=RunCommand)(run)
app.command()(status)
app.command()(devices)
app.add_typer(examples, name="examples")
app.command()(simulate)
app.add_typer(experiment, name="experiment")
app.command()(features)
app.command()(corpora)


def main() -> NoReturn:
    """Run ``edge-client``."""
    command.run(app)
