"""Who a device is in secure rounds. Apart from its part in them: who joins needs no arithmetic."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.trust.keys import PublicKey, SecretKey


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a device is, and whom it knows.

    Attributes
    ----------
    name
        What it is called in the federation.
    key
        What it signs with.
    known
        The lasting keys of all devices of the federation, its own among them. They must not be
        the aggregator's word alone: whoever can make up devices can be all others of a round.
    at_least
        Fewest others that its update is summed with.
    """

    name: str
    key: SecretKey
    known: Mapping[str, PublicKey]
    at_least: int
