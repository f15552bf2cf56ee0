"""Making the strategy that settings name."""

from aggregator.strategies import Strategy, make_strategy
from shared.rounds import STRATEGY_OPTIONS, FederatedSettings


def strategy_of(settings: FederatedSettings, clients: int | None = None) -> Strategy:
    """Make the strategy that the settings name, with the options given for it.

    Parameters
    ----------
    settings
        Its name and options.
    clients
        Number of clients in the whole federation; only scaffold takes it.

    Raises
    ------
    SettingsError
        If there is no such strategy, it has no such option, or lacks one.
    """
    given = {name: getattr(settings, name) for name in STRATEGY_OPTIONS}
    if settings.strategy == "scaffold":
        given["clients"] = clients
    return make_strategy(settings.strategy, **given)
