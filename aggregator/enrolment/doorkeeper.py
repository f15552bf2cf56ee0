"""Whose messages are listened to in a federation by invitation: those of its members."""

import logging
from collections.abc import Callable
from typing import Final

from aggregator.enrolment.members import Members
from shared.errors import ProtocolError, StorageError, TrustError
from shared.loop import Loop
from shared.protocol.messages import Presence
from shared.protocol.topics import Topics
from shared.trust.signing import counter_of

log = logging.getLogger(__name__)

_WRITE_HEARD: Final = 5.0
"""Seconds within which it is written down which numbers were heard."""


class Doorkeeper:
    """Checks that members have signed what comes in their names, and that it is not old.

    Parameters
    ----------
    members
        Who has joined.
    topics
        Where they speak.
    loop
        What it stands on.
    reject
        Told of a client, and what is wrong with it.
    """

    def __init__(
        self,
        members: Members,
        topics: Topics,
        loop: Loop,
        reject: Callable[[str, str], object],
    ) -> None:
        self._members = members
        self._topics = topics
        self._reject = reject
        self._keys = {name: member.key for name, member in members.joined().items()}
        self._heard = members.heard()
        self._write = loop.deadline(self._write_heard)

    def lets_pass(self, client: str, kind: str, payload: bytes) -> bool:
        """Say whether a message is its client's, and not an old one; if not, log why.

        Parameters
        ----------
        client
            In whose name it comes.
        kind
            The last part of its topic.
        payload
            The message.
        """
        try:
            self._check(client, kind, payload)
        except (TrustError, ProtocolError) as error:
            self._reject(client, error.message)
            return False
        return True

    def _check(self, client: str, kind: str, payload: bytes) -> None:
        key = self._keys.get(client)
        if key is None:
            raise TrustError(
                "It has not joined this federation, which is by invitation, or was revoked.",
                f"`aggregator invite {client}` lets it join.",
            )
        counter = counter_of(key, self._topics.of_client(client, kind), payload)
        newest = self._heard.get((client, kind), 0)
        if counter > newest:
            self._heard[client, kind] = counter
            self._write.within(_WRITE_HEARD)
        elif counter < newest and not _says_offline(kind, payload):
            raise TrustError(
                "It says again what is older than its last message.",
                "Somebody has kept it; or a copy of the device's card is in another device: take "
                "that out, and start this one again.",
            )

    def knows(self, client: str) -> bool:
        """Say whether a client is a member."""
        return client in self._keys

    def look(self) -> set[str]:
        """See who was revoked, or has another key, since the last look; give their names."""
        keys = {name: member.key for name, member in self._members.joined().items()}
        gone = {name for name, key in self._keys.items() if keys.get(name) != key}
        self._keys = keys
        self._heard = {place: n for place, n in self._heard.items() if place[0] not in gone}
        return gone

    def close(self) -> None:
        """Write down what was heard."""
        self._write_heard()

    def _write_heard(self) -> None:
        try:
            self._members.hear(self._heard)
        except StorageError as error:
            log.warning("%s", error.message)
            self._write.within(_WRITE_HEARD)


def _says_offline(kind: str, payload: bytes) -> bool:
    """Say whether it is what a broker publishes when a connection breaks.

    It was signed when the connection was made, so it is older than what was said since. A broker
    can say it whenever it likes, as it can break any connection.
    """
    return kind == "presence" and Presence.decode(payload).state == "offline"
