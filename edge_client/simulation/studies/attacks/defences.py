"""What an attacker is given in place of a device's update."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies import Update
from aggregator.strategies.privacy import Budget, PrivateMean
from shared.weights import Weights

Rows = NDArray[np.float32]
"""Updates, or parts of them, one below the other: shape ``(n, values)``, float32."""

PLAIN: Final = "float32"
"""The codec that leaves an update as it is."""


@dataclass(frozen=True, slots=True)
class Defence:
    """What is done to updates before the attacker sees anything.

    Attributes
    ----------
    name
        What tables call it.
    codec
        How each device encodes its update.
    devices
        Of how many devices the attacker sees the mean.
    shortened
        Whether devices shorten their updates to the clip norm.
    epsilon
        The budget of the noise in that mean, spent in the one round that is attacked: the most that
        it allows. No noise if not given.
    """

    name: str
    codec: str = PLAIN
    devices: int = 1
    shortened: bool = False
    epsilon: float | None = None


NONE: Final = Defence("none")

CODECS: Final = tuple(
    Defence(f"codec {name}", codec=name)
    for name in ("float16", "int8", "sign", "top10-sign", "top5-int8")
)

SUMS: Final = tuple(Defence(f"secure sum of {n}", devices=n) for n in (2, 8, 32))


def defences(epsilon: float) -> tuple[Defence, ...]:
    """List all that are tried, with this budget for the noise."""
    noise = f"epsilon {epsilon:g}"
    return (
        NONE,
        *CODECS,
        *SUMS,
        Defence(f"{noise}, at the aggregator", shortened=True),
        Defence(f"{noise}, in the models, 32", devices=32, shortened=True, epsilon=epsilon),
    )


@dataclass(frozen=True, slots=True)
class Noise:
    """How differential privacy is set up.

    Attributes
    ----------
    clip_norm
        The norm that an update has at most.
    delta
        Beside the epsilon of the defence.
    """

    clip_norm: float
    delta: float

    def mean(self, rows: Rows, epsilon: float, rng: np.random.Generator) -> Weights:
        """Average updates, or the same part of each, with noise for the whole budget.

        Parameters
        ----------
        rows
            Shape ``(devices, values)``, of updates that were shortened to the clip norm.
        epsilon
            The budget, spent in this round.
        rng
            Of the noise, so that a study can be repeated; a federation's is the system's entropy.

        Returns
        -------
        numpy.ndarray
            Shape ``(values,)``.
        """
        count, values = rows.shape
        private = PrivateMean(Budget(epsilon, self.delta, 1), self.clip_norm, count, values)
        updates = (Update(str(place), 1, row) for place, row in enumerate(rows))
        return private.mean(updates, rng.standard_normal)
