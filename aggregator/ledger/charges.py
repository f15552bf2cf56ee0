"""What rounds cost of a privacy budget, as the ledger adds it up."""

from aggregator.ledger.history import History
from aggregator.strategies.privacy import Budget
from aggregator.strategies.shared_noise import ConcentratedBudget


def spent_with_one_more(history: History, budget: Budget) -> float:
    """Give the epsilon that will have been spent with one more round charged."""
    charged, _ = history.charges()
    return budget.spent(charged + 1)


def spent_if_lost(history: History) -> float | None:
    """Say what will have been spent if the round under way is abandoned, and its sum may be known.

    With devices' noise it costs something all the same: who has seen the sum has seen it. Of a
    round without its process nobody can tell how far it had come.

    Returns
    -------
    float or None
        The epsilon of all charges, that of this round among them; ``None`` if it costs nothing.

    Raises
    ------
    MissingPartError
        If what accounts for the budget is not installed.
    """
    last, begun = history.last_round(), history.settings
    if last is None or last.ended is not None:
        return None
    if not begun.get("secure") or begun.get("dp_epsilon") is None:
        return None
    budget = ConcentratedBudget(begun["dp_epsilon"], begun["dp_delta"], begun["rounds"])
    return spent_with_one_more(history, budget)
