"""What the service listens to, so that one client that floods it does not drown the others.

A flood is cut off before it costs much here. But while it comes, the broker drops messages to the
aggregator, whoever sent them: requests, its own acknowledgements, and with QoS 1 the place of a
message for as long as the connection lasts. So the connection begins anew, and for a while only
those are listened to who were known before and do not flood: to a broker, that is another list of
subscriptions, and the flood ends there.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from aggregator.server.rejections import Rejections
from aggregator.server.shares import Shares
from shared.loop import Loop
from shared.mqtt.connection import Connection
from shared.protocol.topics import Topics

log = logging.getLogger(__name__)

AT_ONCE: Final = 200
"""Messages in words that a client may send at once."""

PER_SECOND: Final = 50.0
"""The same in the long run: a client asks for a model six times a second where 100 Mbit/s of it
arrive."""

BYTES_AT_ONCE: Final = 2 << 20
"""Bytes of such messages that a client may send at once: two of the largest."""

BYTES_PER_SECOND: Final = 256.0 * 1024
"""The same in the long run. To read a megabyte takes a tenth of a second; what a client has to say
has some kilobytes."""

FLOOD: Final = 1000
"""Messages that nobody needs, after which those of others may be missing: as many wait at Mosquitto
before it drops some."""

LASTS: Final = 60.0
"""Seconds within which so many come if it is a flood. Honest clients send some as well, as those
that are under way when a round closes: in days they add up."""

_CULPRIT: Final = FLOOD // 10
"""How many of them come from somebody who is left out."""

SHUT: Final = 60.0
"""Seconds for which somebody is not listened to."""

UNKNOWN: Final = 5.0
"""Seconds that a flood of nobody in particular goes on before the connection begins anew."""

QUALITY: Final[Mapping[str, int]] = {"presence": 1, "requests": 1, "chunks": 0}
"""What clients say, and the quality of service of the subscription to it. The broker does not wait
for acknowledgements of chunks: what is lost of them is asked for again."""

AT_THE_DOOR: Final[Mapping[str, int]] = {"join": 1}
"""What is said besides in a federation by invitation, by those who were invited."""

MOST_KNOWN: Final = 100
"""Clients that are subscribed to each by itself, those heard last: their topics fit into one packet
of 64 KiB, which every broker takes."""


class FloodGate:
    """Says which messages are listened to.

    Parameters
    ----------
    topics
        Where clients speak.
    loop
        What the service stands on. Messages are the network thread's.
    rejections
        Where it is said what is wrong with clients.
    connection
        What messages come from.
    own
        Topics that are subscribed to besides, with QoS 0.
    kinds
        What clients say, and with which QoS it is subscribed to.
    """

    def __init__(
        self,
        topics: Topics,
        loop: Loop,
        rejections: Rejections,
        connection: Connection,
        own: Sequence[str] = (),
        kinds: Mapping[str, int] = QUALITY,
    ) -> None:
        self._topics = topics
        self._own = dict.fromkeys(own, 0)
        self._kinds = kinds
        self._loop = loop
        self._connection = connection
        self._rejections = rejections
        self._shares = Shares(AT_ONCE, PER_SECOND, loop.clock)
        self._sizes = Shares(BYTES_AT_ONCE, BYTES_PER_SECOND, loop.clock)
        self._useless: Counter[tuple[str, str]] = Counter()
        self._count = 0
        self._since = 0.0
        """When the first of them came, in seconds of the loop's clock."""
        self._narrow: dict[str, int] = {}
        """What is subscribed to for each client by itself, and how."""
        self._recovery = loop.deadline(self._recover)
        self._opening = loop.deadline(self._open)

    def lets_in(self, client: str, kind: str, size: int = 0) -> bool:
        """Say whether a message in words is listened to; if not, its client will ask again.

        Parameters
        ----------
        client, kind
            Who says what.
        size
            Bytes of it.
        """
        new = client not in self._shares
        problem = ""
        if not self._shares.take(client):
            problem = "Its messages come too fast: some are left aside."
        elif not self._sizes.take(client, size):
            problem = "It says more than anybody has to say: some of it is left aside."
        if problem:
            self._rejections.about(client, problem)
            self.leave_aside(client, kind)
            return False
        if new and kind == "presence":
            for narrow, quality in self._narrow.items():
                self._connection.subscribe(self._topics.of_client(client, narrow), qos=quality)
        return True

    def leave_aside(self, client: str, kind: str) -> None:
        """Count a message that nobody needs; those of long ago are forgotten."""
        now = self._loop.clock()
        if self._count < FLOOD:
            if self._count and now - self._since > LASTS:
                self._useless, self._count = Counter(), 0
            if not self._count:
                self._since = now
            self._useless[client, kind] += 1
            self._count += 1
            if self._count == FLOOD:
                self._loop.put(self._flooded)

    def _flooded(self) -> None:
        if self._culprits:
            self._recover()
        else:
            self._recovery.within(UNKNOWN)

    @property
    def _culprits(self) -> dict[str, str]:
        """Those who flood, and with what."""
        useless = self._useless.items()
        return {client: kind for (client, kind), count in useless if client and count >= _CULPRIT}

    def _recover(self) -> None:
        """Begin anew, without those who flood."""
        culprits, self._useless, self._count = self._culprits, Counter(), 0
        log.warning(
            "More messages come than anybody needs%s: some of others may be lost at the broker, "
            "so the connection begins anew.",
            f", from {', '.join(sorted(culprits))}" if culprits else "",
        )
        self._narrow |= {
            kind: self._kinds[kind] for kind in culprits.values() if kind in self._kinds
        }
        if self._narrow:
            self._opening.within(SHUT)
        known = [client for client in self._shares.clients() if client not in culprits]
        self._connection.begin_anew(self._subscriptions(known[-MOST_KNOWN:]))

    def _open(self) -> None:
        """Listen to everybody again."""
        log.info("Everybody is listened to again.")
        self._narrow = {}
        self._connection.begin_anew(self._subscriptions([]))

    def _subscriptions(self, known: list[str]) -> dict[str, int]:
        """Give what to subscribe to: of a kind that is flooded, only that of known clients."""
        return self._own | {
            self._topics.of_client(client, kind): quality
            for kind, quality in self._kinds.items()
            for client in (known if kind in self._narrow else ["+"])
        }
