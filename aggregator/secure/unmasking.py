"""Taking the masks off a sum: the seeds of those in it, the pairs' masks of those that are gone."""

from collections.abc import Mapping

import numpy as np

from shared.errors import SecureError
from shared.protocol.secure import Revealed, Roster, Survivors
from shared.secure.masks import Numbers, mask_of, reduced
from shared.secure.sharing import combined
from shared.secure.statements import commitment_to, mask_key
from shared.secure.terms import Terms, threshold_of
from shared.trust.exchange import public_half


def unmasked(
    terms: Terms, total: Numbers, roster: Roster, told: Survivors, answers: Mapping[str, Revealed]
) -> Numbers:
    """Compute the sum of the survivors' updates.

    Parameters
    ----------
    terms
        The round's.
    total
        The sum of their masked updates, modulo 2^32 or 2^bits; uint32, shape (``terms.length``,).
    roster
        Who took part.
    told
        Whose shares were sent on, and whose updates are in the sum.
    answers
        At least the threshold of them, by device.

    Returns
    -------
    numpy.ndarray of uint32, shape (length,)
        The sum modulo 2^bits.

    Raises
    ------
    SecureError
        If the shares of a device do not give the secret that it has committed to.
    """
    total = total.copy()
    numbers = {name: number for number, name in enumerate(sorted(roster.devices), 1)}
    chosen = sorted(answers)[: threshold_of(len(numbers))]
    for name in told.survivors:
        shares = {numbers[each]: answers[each].seeds[name] for each in chosen}
        seed = _seed_of(terms, roster, name, shares)
        total -= mask_of(seed, terms.length, terms.bits)
    for name in sorted(set(told.sharers) - set(told.survivors)):
        shares = {numbers[each]: answers[each].keys[name] for each in chosen}
        secret = _mask_secret_of(roster, name, shares)
        for other in told.survivors:
            _take_off_pair(terms, total, roster, (other, name), secret)
    return reduced(total, terms.bits)


def _take_off_pair(
    terms: Terms, total: Numbers, roster: Roster, pair: tuple[str, str], secret: bytes
) -> None:
    """Take off what the first of a pair, which is in the sum, has added or subtracted."""
    first, _ = pair
    key = mask_key(secret, roster.devices[first].mask, terms.identity, pair)
    change = np.subtract if first == min(pair) else np.add
    change(total, mask_of(key, terms.length, terms.bits), out=total)


def _seed_of(terms: Terms, roster: Roster, name: str, shares: Mapping[int, bytes]) -> bytes:
    seed = _combined(name, shares)
    if commitment_to(seed, terms.identity, name) != roster.devices[name].commitment:
        raise _wrong_shares(name)
    return seed


def _mask_secret_of(roster: Roster, name: str, shares: Mapping[int, bytes]) -> bytes:
    secret = _combined(name, shares)
    if public_half(secret) != roster.devices[name].mask:
        raise _wrong_shares(name)
    return secret


def _combined(name: str, shares: Mapping[int, bytes]) -> bytes:
    try:
        return combined(shares)
    except ValueError as error:
        raise _wrong_shares(name) from error


def _wrong_shares(name: str) -> SecureError:
    return SecureError(
        f"The shares of {name} do not give the secret that it has committed to.",
        f"Nothing is summed: {name} has shared something else, or one that answered has lied.",
        reason="contradiction",
    )
