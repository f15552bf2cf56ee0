"""Strategies of federated aggregation, one file each, and the arithmetic they share.

They work on vectors: no files, no network, no clock. The simulation uses them too.
"""

import inspect
from typing import Any, Final

from aggregator.strategies.fedadagrad import FedAdagrad
from aggregator.strategies.fedadam import FedAdam
from aggregator.strategies.fedavg import FedAvg
from aggregator.strategies.fedavgm import FedAvgM
from aggregator.strategies.fedyogi import FedYogi
from aggregator.strategies.krum import Krum, MultiKrum
from aggregator.strategies.median import Median
from aggregator.strategies.scaffold import Scaffold
from aggregator.strategies.strategy import Strategy
from aggregator.strategies.trimmed_mean import TrimmedMean
from aggregator.strategies.update import Update
from shared.codecs.update_file import EXTRA_VECTORS
from shared.errors import SettingsError
from shared.registry import Registry

__all__ = ["STRATEGIES", "Strategy", "Update", "make_strategy", "strategy_options"]


def _check(thing: Any) -> type[Strategy]:
    if not isinstance(thing, type) or not issubclass(thing, Strategy):
        raise TypeError("it should be a subclass of aggregator.strategies.Strategy")
    if inspect.isabstract(thing):
        missing = ", ".join(sorted(thing.__abstractmethods__))
        raise TypeError(f"it does not define {missing}")
    if unknown := set(thing.extra_vectors) - set(EXTRA_VECTORS):
        raise TypeError(
            f"it asks clients for {min(unknown)}, but they can send {', '.join(EXTRA_VECTORS)}"
        )
    return thing


STRATEGIES: Final[Registry[type[Strategy]]] = Registry(
    "strategy",
    {
        strategy.name: strategy
        for strategy in (
            FedAvg,
            FedAvgM,
            FedAdam,
            FedYogi,
            FedAdagrad,
            Median,
            TrimmedMean,
            Krum,
            MultiKrum,
            Scaffold,
        )
    },
    _check,
    group="chorus.strategies",
)
"""Every strategy by the name that settings and tables use."""


def strategy_options(name: str) -> dict[str, inspect.Parameter]:
    """List the options that a strategy takes, each with its type and its default.

    Raises
    ------
    SettingsError
        If there is no strategy of this name.
    """
    parameters = inspect.signature(STRATEGIES.get(name)).parameters
    return {
        option: parameter
        for option, parameter in parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def make_strategy(name: str, **options: Any) -> Strategy:
    """Make a strategy.

    Parameters
    ----------
    name
        One of :data:`STRATEGIES`.
    **options
        The strategy's own; those not given, or given as ``None``, keep its defaults.

    Raises
    ------
    SettingsError
        If there is no strategy of this name, or an option is unknown, missing or out of range.
    """
    known = strategy_options(name)
    given = {option: value for option, value in options.items() if value is not None}
    for option in given.keys() - known.keys():
        raise SettingsError(
            f"The strategy {name} has no option {option}.", f"It has {', '.join(known)}."
        )
    for option, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and option not in given:
            raise SettingsError(f"The strategy {name} needs the option {option}.")
    return STRATEGIES.get(name)(**given)
