"""What each user of a broker may read and write: the rules of ``deploy/mosquitto/acl``.

Brokers that are told of accounts while they run (our own, Mosquitto by its plugin) are told these.
"""

from typing import Literal, NamedTuple

from shared.protocol.topics import Topics, aggregator_name

AccountKind = Literal["aggregator", "device", "guest"]
"""Whose an account is; a guest may ask to join, and nothing else."""


class Rights(NamedTuple):
    """What a user may do.

    Attributes
    ----------
    reads, writes
        Topics, with ``+`` for any name.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]


def rights_of(kind: AccountKind, name: str, topics: Topics) -> Rights:
    """Give the rights of a user.

    Parameters
    ----------
    kind
        What it is.
    name
        Name of the device that it is, or may become.
    topics
        Of the federation.
    """
    if kind == "guest":
        return Rights((topics.joined(name),), (topics.join(name),))
    if kind == "device":
        return Rights(
            (topics.round, topics.model("+"), topics.replies(name)),
            (topics.presence(name), topics.requests(name), topics.chunks(name)),
        )
    heard = (topics.presence("+"), topics.requests("+"), topics.chunks("+"), topics.join("+"))
    both = (topics.round, topics.model("+"))
    return Rights((*both, *heard), (*both, topics.replies("+"), topics.joined("+")))


def username_of(kind: AccountKind, name: str, topics: Topics) -> str:
    """Name the user of an account."""
    if kind == "guest":
        return topics.guest(name)
    return topics.identifier(aggregator_name(topics.federation) if kind == "aggregator" else name)
