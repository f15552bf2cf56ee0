"""What those that train clients are given in a round, be it in this process or another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_client.learning.client_round import Assignment, Contribution, client_round
from edge_client.learning.training import Engine
from edge_client.simulation.poisoning import Poisoning
from shared.codecs import Codec
from shared.training import Examples, TrainingSettings
from shared.weights import Vector, Weights


@dataclass(frozen=True, slots=True)
class RoundWork:
    """What all clients of a round are given.

    Attributes
    ----------
    number
        The round, from 1.
    seed
        Of the federation.
    weights
        The round's global weights, shape ``(parameters,)``, float32.
    settings
        How clients train.
    poisoning
        What dishonest clients learn from.
    control
        The server's control variate (SCAFFOLD), shape ``(parameters,)``, if there is one.
    """

    number: int
    seed: int
    weights: Weights
    settings: TrainingSettings
    poisoning: Poisoning
    control: Weights | None = None


@dataclass(frozen=True, slots=True)
class ClientWork:
    """What one client of a round is given besides.

    Attributes
    ----------
    index, name
        Which client.
    codec
        How its update is encoded.
    residual
        What the codec left out of its last update.
    own_control
        Its control variate.
    """

    index: int
    name: str
    codec: Codec
    residual: Vector | None = None
    own_control: Vector | None = None


def train_client(
    work: RoundWork,
    client: ClientWork,
    examples: Examples,
    engine: Engine,
    stop: Callable[[int], bool] | None = None,
) -> Contribution:
    """Do what a client does in a round; see :func:`client_round`."""
    outcome = client_round(
        Assignment(
            client=client.name,
            number=work.number,
            seed=work.seed,
            weights=work.weights,
            examples=work.poisoning.examples(client.index, examples),
            settings=work.settings,
            codec=client.codec,
            residual=client.residual,
            control=work.control,
            own_control=client.own_control,
        ),
        engine,
        stop,
    )
    if not isinstance(outcome, Contribution):
        raise TypeError("nobody waits for this client any more")
    return outcome


class Workers(Protocol):
    """Train the clients of a round, several at a time."""

    def contributions(
        self, work: RoundWork, indices: Sequence[int], given: Callable[[int], ClientWork]
    ) -> Iterator[Contribution]:
        """Train clients.

        Parameters
        ----------
        work
            The round's.
        indices
            Which clients.
        given
            Gives a client's own work, by its index; called by any thread.

        Yields
        ------
        Contribution
            What each client sends, in the order of the indices. Memory does not grow with them.
        """
        ...
