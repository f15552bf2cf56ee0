"""Which clients take part in a round."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Client = TypeVar("Client")


def sample(clients: Sequence[Client], wanted: int, rng: np.random.Generator) -> list[Client]:
    """Choose clients, each equally likely.

    Parameters
    ----------
    clients
        All that could take part, in the order of their names: what is chosen depends on the seed
        and on who is there, not on who came first.
    wanted
        How many; all, if there are no more.
    rng
        The round's own stream; drawn from only if some are left out.

    Returns
    -------
    list
        Those chosen, in the same order.
    """
    if wanted >= len(clients):
        return list(clients)
    chosen = rng.choice(len(clients), wanted, replace=False)
    return [clients[index] for index in sorted(chosen.tolist())]
