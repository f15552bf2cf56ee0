"""A finished update held against the owner's terms of now.

They may be others than when it was trained: the device may have been started with new ones since.
"""

from edge_client.federation.announced_round import AnnouncedRound
from edge_client.federation.facts import Outgoing
from edge_client.federation.held_out import count_trained_on
from edge_client.federation.settings import FederationSettings
from shared.secure_round import CODEC


def objection_to(
    pending: Outgoing, announced: AnnouncedRound, settings: FederationSettings
) -> str | None:
    """Say why a finished update is not to be offered; ``None`` if the terms allow it.

    A masked one follows the rules of its own round: what others can know of it is in their sum, so
    ``secure_only`` and ``most_counted`` have nothing to object to.

    Parameters
    ----------
    pending
        The update.
    announced
        The round that is announced. A plain update of an earlier one is held against this one, as
        no more is known of its own; a masked one of an earlier one can be in no sum any more.
    settings
        The terms, and the share of the examples that is not trained on.
    """
    offer, announcement, terms = pending.offer, announced.announcement, settings.terms
    masked = offer.codec == CODEC
    if masked and announced.key != (offer.run, offer.round):
        return None
    # What an earlier version has finished may not say what it was made of.
    labelled = [key for key in pending.learned if key >= 0]
    count = len(labelled) or offer.examples
    objection: str | None
    if labelled and count < terms.fewest_examples:
        objection = (
            f"it was made of {count} labelled examples, and this device's terms ask for "
            f"{terms.fewest_examples} or more"
        )
    else:
        objection = terms.objection(
            announcement.training,
            count_trained_on(labelled, settings.holdout) if labelled else count,
            announcement.secure if masked else None,
            announcement.privacy,
        )
    return objection and f"The update of round {offer.round} is not sent: {objection}."
