"""Shamir's sharing of a secret: any t shares give it, fewer say nothing of it (Shamir, 1979).

A secret is a number below 2^256. It is the value at 0 of a random polynomial of degree t - 1 over
the field of integers modulo 2^256 + 297, the smallest prime above 2^256. Share i is the value at i.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from shared.protocol.secure import SHARE_BYTES

PRIME: Final = (1 << 256) + 297
"""The field's size."""

SECRET_BYTES: Final = 32
"""Bytes of a secret."""

Draw = Callable[[int], bytes]
"""Gives so many random bytes that nobody can guess."""


def split(secret: bytes, threshold: int, count: int, draw: Draw) -> list[bytes]:
    """Share a secret.

    Parameters
    ----------
    secret
        32 bytes.
    threshold
        Shares that give it back.
    count
        Shares to make.
    draw
        Where randomness comes from.

    Returns
    -------
    list of bytes
        The shares of 1, 2, ..., ``count``, 33 bytes each.
    """
    # 64 bytes a coefficient: modulo the prime, they are uniform but for 2^-255.
    drawn = (int.from_bytes(draw(64)) % PRIME for _ in range(threshold - 1))
    coefficients = [int.from_bytes(secret), *drawn]
    return [evaluated(coefficients, number).to_bytes(SHARE_BYTES) for number in range(1, count + 1)]


def combined(shares: Mapping[int, bytes]) -> bytes:
    """Give back a secret.

    Parameters
    ----------
    shares
        As many as the threshold, by their numbers.

    Returns
    -------
    bytes
        The 32 bytes. They are not those of any secret that was shared if one of the shares is
        wrong: whoever combines has to check.

    Raises
    ------
    ValueError
        If they cannot all be shares of one secret.
    """
    points = {number: int.from_bytes(share) for number, share in shares.items()}
    if max(points.values()) >= PRIME:
        raise ValueError("a share is no number of the field")
    secret = at_zero(points)
    if secret.bit_length() > 8 * SECRET_BYTES:
        raise ValueError("the shares are of no secret of 32 bytes")
    return secret.to_bytes(SECRET_BYTES)


def evaluated(coefficients: Sequence[int], x: int, prime: int = PRIME) -> int:
    """Compute a polynomial's value, its constant coefficient first (Horner)."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % prime
    return value


def at_zero(points: Mapping[int, int], prime: int = PRIME) -> int:
    """Compute the value at 0 of the polynomial through some points (Lagrange)."""
    factors = _lagrange(tuple(points), prime)
    return sum(y * factor for y, factor in zip(points.values(), factors, strict=True)) % prime


@lru_cache(maxsize=1)  # all secrets of a round are combined from the same devices' shares
def _lagrange(numbers: tuple[int, ...], prime: int) -> tuple[int, ...]:
    """Compute by what each point's value is multiplied; the sum of all is the value at 0."""
    factors = []
    for x in numbers:
        above = below = 1
        for other in numbers:
            if other != x:
                above = above * other % prime
                below = below * (other - x) % prime
        factors.append(above * pow(below, -1, prime) % prime)
    return tuple(factors)
