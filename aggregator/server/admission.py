"""Whether an offered update may count, whatever is in it."""

import textwrap
from typing import Final, Literal, NamedTuple

from aggregator.rounds.federation import Federation
from aggregator.secure.round import SecureRound
from shared.codecs import make_codec
from shared.codecs.update_file import largest_file
from shared.protocol.messages import Offer, Refused
from shared.secure_round import CODEC
from shared.task import Task

_Reason = Literal["late", "duplicate", "uninvited", "foreign", "unwelcome", "invalid", "too-large"]

_VERDICTS: Final = {
    "late": "Round {round} takes no more updates.",
    "duplicate": "Round {round} already has an accepted update of this client.",
    "uninvited": "This client does not take part in round {round}.",
    "foreign": "Round {round} is not open.",
}


_NAMED: Final = 300
"""Characters of a task's labels that a sentence has room for."""


class _Why(NamedTuple):
    reason: _Reason
    sentence: str


def refusal(federation: Federation, client: str, offer: Offer) -> Refused | None:
    """Say why an offered update would not count; ``None`` if it is welcome.

    Asked when it is offered, before anything of it is received, and again before it counts: the
    round may have ended meanwhile.
    """
    why = _out_of_place(federation, client, offer) or _out_of_bounds(federation, offer)
    return why and Refused(update=offer.update, reason=why.reason, sentence=why.sentence)


def _out_of_place(federation: Federation, client: str, offer: Offer) -> _Why | None:
    """Look at the task, the run, the round and the model it is for."""
    task = federation.architecture.task
    if offer.task != task.digest:
        return _Why("foreign", f"It is of another task: this federation recognises {_named(task)}.")
    if offer.run != federation.ledger.run:
        return _Why("foreign", "It belongs to another run of this federation.")
    verdict = federation.rounds.judge(client, offer.round)
    if verdict != "welcome":
        return _Why(verdict, _VERDICTS[verdict].format(round=offer.round))
    if offer.model != federation.current.digest:
        return _Why("foreign", "It is a difference to another model.")
    return None


def _named(task: Task) -> str:
    """Name a task; 32 labels of 32 characters would be longer than a reply's sentence may be."""
    names = textwrap.shorten(", ".join(task.names), _NAMED, placeholder=" ...")
    return f"{names} from {task.front_end}"


def _out_of_bounds(federation: Federation, offer: Offer) -> _Why | None:
    """Look at what it claims to be."""
    settings = federation.settings
    if federation.secure:
        return _not_masked(federation.secure.round, offer)
    if offer.codec not in settings.codecs:
        welcome = ", ".join(settings.codecs)
        return _Why("unwelcome", f"Its codec is not accepted here: give one of {welcome}.")
    if offer.examples > settings.most_examples:
        return _Why("invalid", f"It claims more than {settings.most_examples} examples.")
    if offer.confusion and len(offer.confusion) != len(federation.architecture.task.labels):
        return _Why("invalid", "Its confusion matrix does not have a row for each label.")
    codec, extra = make_codec(offer.codec), federation.extra_vectors
    if offer.size > largest_file(codec, federation.architecture, extra):
        return _Why("too-large", "It is larger than an update of its model and codec.")
    return None


def _not_masked(found: SecureRound | None, offer: Offer) -> _Why | None:
    """Look whether it may be a masked update of the open secure round."""
    if offer.codec != CODEC:
        return _Why("unwelcome", f"Only masked updates are taken here: its codec is not {CODEC}.")
    if found is None or offer.size != found.size:
        return _Why("invalid", "It has not the length of a masked update of this round.")
    return None
