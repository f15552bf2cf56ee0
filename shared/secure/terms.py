"""What is settled before a secure round begins, and how many devices it takes."""

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from shared.round_settings import MOST_SECURE

FEWEST_DEVICES: Final = 3
"""Devices in a sum: of two, each would know the other's update."""

FEWEST_BITS: Final = 8
MOST_BITS: Final = 32


class Stage(StrEnum):
    """The stages of a round, in order; and how it can end."""

    KEYS = "keys"
    SHARES = "shares"
    MASKED = "masked"
    CONSENT = "consent"
    UNMASKING = "unmasking"
    DONE = "done"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class Terms:
    """What all who take part know of a round.

    Attributes
    ----------
    federation, run
        Whose round it is.
    number
        Which round. A device masks an update once a number: a round that was abandoned is not
        tried again under the same.
    length
        Values of an update.
    bits
        The b of sums modulo 2^b, 8 to 32.
    fewest
        Fewest devices in the sum, 3 to 100.
    asked
        SHA-256, in hexadecimal, of all else that devices are asked for: what makes up an update and
        what its values mean. If some could be asked for updates of nothing, the sum would be
        another's alone.

    Raises
    ------
    ValueError
        If there can be no such round.
    """

    federation: str
    run: str
    number: int
    length: int
    bits: int
    fewest: int = FEWEST_DEVICES
    asked: str = ""

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError("an update has at least one value")
        if not FEWEST_BITS <= self.bits <= MOST_BITS:
            raise ValueError(f"a secure sum has {FEWEST_BITS} to {MOST_BITS} bits, not {self.bits}")
        if not FEWEST_DEVICES <= self.fewest <= MOST_SECURE:
            raise ValueError(
                f"a secure sum is of {FEWEST_DEVICES} to {MOST_SECURE} devices, not {self.fewest}"
            )

    @cached_property
    def identity(self) -> bytes:
        """32 bytes that name the round: who has other terms is in another round."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"chorus secure 1 terms\0" + text.encode()).digest()

    def needed(self, devices: int) -> int:
        """Give the devices that a roster of so many needs up to the masked updates."""
        return needed_of(devices, self.fewest)


def needed_of(devices: int, fewest: int) -> int:
    """Give the devices that are in the sum of a roster of so many at least, or there is none."""
    return max(fewest, threshold_of(devices))


def threshold_of(devices: int) -> int:
    """Give the shares that give a secret back: more than half of the roster."""
    return devices // 2 + 1
