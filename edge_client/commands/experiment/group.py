"""``edge-client experiment``: the paper's experiments and ours, each from one command."""

import typer

from edge_client.commands.experiment.attacks import attacks
from edge_client.commands.experiment.baselines import baselines
from edge_client.commands.experiment.embeddings import embeddings
from edge_client.commands.experiment.fusion import fusion
from edge_client.commands.experiment.noise import noise
from edge_client.commands.experiment.paper import one, two
from edge_client.commands.experiment.personalisation import personalisation
from edge_client.commands.experiment.poisoning import poisoning
from edge_client.commands.experiment.pretraining import pretraining
from edge_client.commands.experiment.speakers import speakers
from edge_client.commands.experiment.starters import starters
from edge_client.commands.experiment.transfer import transfer

experiment = typer.Typer(
    help="Run the paper's experiments and ours; each but starters goes on where it was when "
    "started again.",
    no_args_is_help=True,
)

for command in (
    one,
    two,
    speakers,
    personalisation,
    noise,
    poisoning,
    baselines,
    fusion,
    starters,
    transfer,
    embeddings,
    attacks,
    pretraining,
):
    experiment.command()(command)
