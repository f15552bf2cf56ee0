"""Making the strategy that settings name."""

from aggregator.strategies import STRATEGIES, Strategy, make_strategy, strategy_options
from aggregator.strategies.bounds import Bounds
from shared.errors import SettingsError
from shared.round_settings import STRATEGY_OPTIONS, FederatedSettings, RoundSettings
from shared.training import TrainingSettings


def strategy_of(settings: FederatedSettings, clients: int | None = None) -> Strategy:
    """Make the strategy that the settings name, with its options, and the bounds of one client.

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
    return strategy


def check_sum_is_enough(settings: FederatedSettings) -> None:
    """Raise :class:`SettingsError` if secure rounds cannot be what the settings say.

    Of these the sum of the updates is known and nothing else: a strategy that compares single ones
    has nothing to compare, and the bounds nothing to measure. Their defaults are left out.
    """
    if STRATEGIES.get(settings.strategy).needs_single_updates:
        raise SettingsError(
            f"The strategy {settings.strategy} needs single updates, and of a secure round only "
            "their sum is known: medians, distances and second vectors are lost.",
            "Take fedavg, fedavgm, fedadam, fedyogi or fedadagrad, or leave out --secure.",
        )
    for name in ("bound_norm", "bound_weight"):
        if getattr(settings, name) not in (0, RoundSettings.model_fields[name].default):
            raise SettingsError(
                f"{name} compares single updates, and of a secure round only their sum is known: "
                "a server that sees no client's norm or examples can bound neither.",
                "Leave it out; --ring-examples says how many examples of a client count.",
            )
