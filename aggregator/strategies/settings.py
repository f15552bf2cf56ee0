"""Making the strategy that settings name."""

from aggregator.strategies import STRATEGIES, Strategy, make_strategy, strategy_options
from aggregator.strategies.bounds import Bounds
from shared.round_settings import STRATEGY_OPTIONS, FederatedSettings
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
