"""What would keep a run from its first round, found before anything is written."""

from importlib.util import find_spec

from aggregator.strategies.privacy import Private
from aggregator.strategies.settings import (
    check_sum_is_enough,
    private_mean_of,
    shared_noise_of,
    strategy_of,
)
from aggregator.strategies.shared_noise import SharedNoise
from edge_client.simulation.data import divide
from edge_client.simulation.federation import clients_of_round
from edge_client.simulation.first_weights import first_weights
from edge_client.simulation.own_model import model_of
from edge_client.simulation.partition_file import SUFFIX
from edge_client.simulation.partitions import PARTITIONS
from edge_client.simulation.secure_federation import round_ring
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import Utterances
from shared.errors import MissingPartError, SettingsError
from shared.tflite import find_runtime


def check_parts(settings: SimulationSettings) -> None:
    """Raise what would keep a run from its first round, whatever its utterances.

    Raises
    ------
    SettingsError
        If the strategy or its options are wrong, there is no such partition, or the model is none
        that can be simulated.
    MissingPartError
        If what trains or draws is not installed.
    WeightsError
        If the weights to start from cannot be read.
    """
    if not settings.baseline:
        strategy_of(settings, clients=1)
        if settings.secure:
            check_sum_is_enough(settings)
        if not settings.partition.endswith(SUFFIX):
            PARTITIONS.get(settings.partition)
    if settings.engine == "tflite":
        find_runtime()
    check_installed(
        "matplotlib",
        *(["tensorflow"] if settings.engine == "keras" else []),
        *(["librosa"] if settings.augment_waveforms else []),
    )
    architecture = model_of(settings.model, settings.task)
    if settings.initial:
        first_weights(settings, architecture)


def check_installed(*packages: str) -> None:
    """Raise :class:`MissingPartError` if a package of the workstation's is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingPartError(
                f"Simulations need {package}, which is not installed.",
                "Install it with: pip install 'chorus-edge[workstation]'",
            )


def check_can_start(settings: SimulationSettings, utterances: Utterances) -> list[int]:
    """Raise what would keep a run from its first round, before anything is written.

    Returns
    -------
    list of int
        How many examples each client has; in the baseline one has all.

    Raises
    ------
    SettingsError
        If there are too few utterances, speakers or labels for the folds or the clients, or too
        few clients for a round or its strategy.
    """
    _, places = divide(utterances, settings)
    if not settings.baseline:
        _check_round(settings, len(places))
    return [len(place) for place in places]


def privacy_of(settings: SimulationSettings, clients: int) -> Private | None:
    """Give what says how much noise there is with so many clients, if there is a budget."""
    architecture = model_of(settings.model, settings.task)
    make = shared_noise_of if settings.secure else private_mean_of
    return make(settings, clients_of_round(settings, clients), architecture)


def _check_round(settings: SimulationSettings, clients: int) -> None:
    """Raise :class:`SettingsError` if no round can be what the settings say."""
    if (settings.clients_per_round or 0) > clients:
        raise SettingsError(
            f"{settings.clients_per_round} clients a round are more than all {clients}.",
            "Give smaller --clients-per-round, or more --clients.",
        )
    if settings.attack != "none" and settings.attackers > clients:
        raise SettingsError(
            f"{settings.attackers} attackers are more than all {clients} clients.",
            "Give fewer --attackers, or more --clients.",
        )
    most = clients_of_round(settings, clients)
    if settings.secure:
        round_ring(settings, most, ())
    if private := privacy_of(settings, clients):
        private.check_can_learn()
        if isinstance(private, SharedNoise):
            private.check_ring(settings.ring_bits, most)
    fewest = 1 if settings.client_dropout else most
    strategy = strategy_of(settings, clients)
    if not any(strategy.enough(arriving) for arriving in range(fewest, most + 1)):
        raise SettingsError(
            f"The strategy {settings.strategy} cannot combine the updates of {most} clients.",
            "Let more take part in a round, or give it other options; docs/strategies.md has them.",
        )
