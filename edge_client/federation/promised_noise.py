"""Whether the noise that devices are asked for keeps what a privacy budget promises.

The sums of all rounds are one Gaussian mechanism whose sensitivity is ``mu`` times its deviation
(Dong et al., 2022: https://arxiv.org/abs/1905.02383). What that tells is known exactly (Balle &
Wang, 2018: https://arxiv.org/abs/1805.06530): no honest budget promises less.
"""

import math
from typing import Final

from shared.protocol.privacy_offer import PrivacyOffer
from shared.protocol.secure_offer import SecureOffer

_LARGEST: Final = 1e6
"""Of ``mu``: nothing is hidden long before."""

_SLACK: Final = 1.001
"""What rounding may add to a delta."""

_FAR: Final = -30.0
"""Below this many deviations the tail of a Gaussian is taken from its first term."""


def keeps(privacy: PrivacyOffer, secure: SecureOffer, clip_norm: float | None) -> bool:
    """Say whether so much noise in each round can be that of a budget.

    Parameters
    ----------
    privacy
        What is promised.
    secure
        What an open round asks for, with noise.
    clip_norm
        How long an update is at most; ``None``: of any length.
    """
    if clip_norm is None:
        return False
    # Where values have finer steps, noise is smaller, too.
    deviation = math.ldexp(secure.noise, min(secure.octaves)) / clip_norm
    mu = math.sqrt(privacy.rounds) / deviation if deviation else _LARGEST
    return least_delta(privacy.epsilon, mu) <= _SLACK * privacy.delta


def least_delta(epsilon: float, mu: float) -> float:
    """Compute the delta of a Gaussian mechanism (Balle & Wang, 2018, theorem 8).

    Parameters
    ----------
    epsilon
        The epsilon that belongs to it.
    mu
        The sensitivity, over the deviation of the noise.

    Returns
    -------
    float
        ``Phi(mu / 2 - epsilon / mu) - exp(epsilon) * Phi(-mu / 2 - epsilon / mu)``.
    """
    mu = min(mu, _LARGEST)
    likely = math.exp(_log_below(mu / 2 - epsilon / mu))
    return likely - math.exp(epsilon + _log_below(-mu / 2 - epsilon / mu))


def _log_below(x: float) -> float:
    """Compute the logarithm of the normal distribution function."""
    if x > _FAR:
        return math.log(math.erfc(-x / math.sqrt(2)) / 2)
    return -x * x / 2 - math.log(-x * math.sqrt(2 * math.pi))
