"""What an announced secure round means: its ring, its terms, and the messages of its stages."""

from collections.abc import Mapping
from typing import Final

from shared.architectures import Architecture
from shared.codecs.ring import Ring
from shared.errors import SecureError
from shared.protocol.secure_offer import SecureOffer
from shared.secure.terms import Stage, Terms
from shared.tally import ring_size

CODEC: Final = "ring"
"""What a masked update is offered as: :mod:`shared.secure.masked_update` says what is in it."""

DEVICES_SAY: Final[Mapping[str, Stage]] = {
    "secure-keys": Stage.KEYS,
    "secure-shares": Stage.SHARES,
    "secure-consent": Stage.CONSENT,
    "secure-revealed": Stage.UNMASKING,
}
"""At which stage a device says what, but for its masked update, which is a file."""

AGGREGATOR_SAYS: Final[Mapping[str, Stage]] = {
    "secure-roster": Stage.SHARES,
    "secure-shares": Stage.MASKED,
    "secure-survivors": Stage.CONSENT,
    "secure-consents": Stage.UNMASKING,
}
"""At which stage a device is told what."""


def ring_of(offer: SecureOffer) -> Ring:
    """Make the ring of a round; raise :class:`SettingsError` if so many clients overflow it."""
    return Ring(offer.bits, len(offer.devices), offer.examples, tuple(offer.octaves))


def terms_of(
    offer: SecureOffer, federation: str, run: str, number: int, architecture: Architecture
) -> Terms:
    """Make the terms of a round, which name it.

    Parameters
    ----------
    offer
        What was announced.
    federation, run, number
        Which round it is.
    architecture
        The model.

    Raises
    ------
    SecureError
        If there can be no such round.
    """
    if not offer.devices or len(offer.octaves) != len(architecture.manifest):
        raise SecureError(
            "A secure round is announced of nobody, or with octaves of another model.",
            "Install the same version of chorus-edge on both sides.",
            reason="damaged",
        )
    length = ring_size(ring_of(offer), architecture)
    return Terms(federation, run, number, length, offer.bits, offer.fewest)
