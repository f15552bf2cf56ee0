"""What an announced secure round means: its ring, its terms, and the messages of its stages."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from shared.architectures import Architecture
from shared.codecs.ring import Ring
from shared.errors import SecureError
from shared.protocol.messages import Announcement
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

DECLINES: Final = "secure-declined"
"""What a device says at any stage, if it takes no part any more."""

AGGREGATOR_SAYS: Final[Mapping[str, Stage]] = {
    "secure-roster": Stage.SHARES,
    "secure-shares": Stage.MASKED,
    "secure-survivors": Stage.CONSENT,
    "secure-consents": Stage.UNMASKING,
}
"""At which stage a device is told what."""


def ring_of(offer: SecureOffer) -> Ring:
    """Make the ring of a round; raise :class:`SettingsError` if so many clients overflow it."""
    octaves = tuple(offer.octaves)
    return Ring(offer.bits, len(offer.devices), offer.examples, octaves, offer.noise)


def terms_of(announced: Announcement, offer: SecureOffer, architecture: Architecture) -> Terms:
    """Make the terms of a round, which name it: other ones for who was told anything else of it.

    Parameters
    ----------
    announced
        The round.
    offer
        What it says of its being secure.
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
    return Terms(
        announced.federation,
        announced.run,
        announced.round,
        ring_size(ring_of(offer), architecture),
        offer.bits,
        offer.fewest,
        asked_of(announced),
    )


def asked_of(announced: Announcement) -> str:
    """Hash what the devices' updates follow from, besides their examples: SHA-256, hexadecimal."""
    facts = {
        "architecture": announced.architecture,
        "control": announced.control and announced.control.digest,
        "model": announced.model.digest,
        "secure": announced.secure and announced.secure.model_dump(mode="json"),
        "seed": announced.seed,
        "statistics": announced.statistics and announced.statistics.digest,
        "task": announced.task.digest,
        "training": announced.training.model_dump(mode="json"),
    }
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
