"""Making the strategy that settings name."""

from aggregator.strategies import STRATEGIES, Strategy, make_strategy, strategy_options
from aggregator.strategies.bounds import Bounds
from aggregator.strategies.download import Download
from aggregator.strategies.privacy import Budget, PrivateMean
from aggregator.strategies.shared_noise import ConcentratedBudget, SharedNoise
from shared.architectures import Architecture
from shared.codecs import make_codec
from shared.errors import SettingsError
from shared.round_settings import STRATEGY_OPTIONS, FederatedSettings, RoundSettings
from shared.secure.terms import FEWEST_DEVICES
from shared.training import TrainingSettings


def strategy_of(settings: FederatedSettings, clients: int | None = None) -> Strategy:
    """Make the strategy that the settings name, with its options, bounds and way of models down.

    Parameters
    ----------
    settings
        Its name and options, and how clients train.
    clients
        Number of clients in the whole federation, for strategies that have such an option.

    Raises
    ------
    SettingsError
        If there is no such strategy, it has no such option, or lacks one; or if it is not made for
        clients that train like this.
    """
    STRATEGIES.get(settings.strategy).check_training(settings.part(TrainingSettings))
    given = {name: getattr(settings, name) for name in STRATEGY_OPTIONS}
    if "clients" in strategy_options(settings.strategy):
        given["clients"] = clients
    strategy = make_strategy(settings.strategy, **given)
    strategy.bounds = Bounds(norm=settings.bound_norm, weight=settings.bound_weight)
    if settings.download_codec != "none":
        strategy.download = Download(make_codec(settings.download_codec))
    return strategy


def check_sum_is_enough(settings: FederatedSettings, option: str = "--secure") -> None:
    """Raise :class:`SettingsError` unless a sum of updates is all that the settings need.

    A strategy that compares single updates has nothing to compare, and the bounds nothing to
    measure. Their defaults are left out.

    Parameters
    ----------
    settings
        What is asked for.
    option
        What leaves no more than a sum: ``--secure``, or ``--dp-epsilon``.
    """
    if STRATEGIES.get(settings.strategy).needs_single_updates:
        raise SettingsError(
            f"The strategy {settings.strategy} needs single updates, and {option} leaves only "
            "their sum: medians, distances and second vectors are lost.",
            f"Take fedavg, fedavgm, fedadam, fedyogi or fedadagrad, or leave out {option}.",
        )
    for name in ("bound_norm", "bound_weight"):
        if getattr(settings, name) not in (0, RoundSettings.model_fields[name].default):
            raise SettingsError(
                f"{name} compares single updates, and {option} leaves only their sum: no client's "
                "norm or number of examples can be bounded by the others'.",
                "Leave it out; --clip-norm and --ring-examples are bounds that do not compare.",
            )


def private_mean_of(
    settings: FederatedSettings, clients: int, architecture: Architecture
) -> PrivateMean | None:
    """Make what a federation's updates are averaged by; ``None``: without noise, by its strategy.

    Parameters
    ----------
    settings
        The budget, its rounds, the norm that updates have at most, and what is trained.
    clients
        What sums are divided by: how many updates a round wants.
    architecture
        The model.

    Raises
    ------
    SettingsError
        If the strategy needs more than a sum.
    MissingPartError
        If what accounts for the budget is not installed.
    """
    if settings.dp_epsilon is None or settings.rounds is None or settings.largest_update is None:
        return None
    check_sum_is_enough(settings, "--dp-epsilon")
    budget = Budget(settings.dp_epsilon, settings.dp_delta, settings.rounds)
    first = architecture.head_offset if settings.head_only else 0
    return PrivateMean(budget, settings.largest_update, clients, architecture.parameters, first)


def shared_noise_of(
    settings: FederatedSettings,
    clients: int,
    architecture: Architecture,
    at_least: int = FEWEST_DEVICES,
) -> SharedNoise | None:
    """Make what says how much noise the clients of secure rounds add; ``None``: they add none.

    The parameters and what is raised are those of :func:`private_mean_of`; ``at_least`` are the
    fewest clients in a sum.
    """
    if settings.dp_epsilon is None or settings.rounds is None or settings.largest_update is None:
        return None
    check_sum_is_enough(settings, "--dp-epsilon")
    budget = ConcentratedBudget(settings.dp_epsilon, settings.dp_delta, settings.rounds)
    first = architecture.head_offset if settings.head_only else 0
    most = settings.largest_update
    return SharedNoise(budget, most, clients, architecture.parameters, first, at_least)
