"""Whether what is announced reaches those who listen, now and later: the aggregator listens itself.

A broker whose access rules forbid an announcement takes it, and drops it; one that keeps no
messages passes it on to those who are there, and those who come later hear nothing. MQTT 3.1.1 says
nothing of either. Without this, devices would wait for a round, and nobody would know why.
"""

import logging
from collections.abc import Callable
from typing import Final

from shared.loop import Loop

log = logging.getLogger(__name__)

PATIENCE: Final = 30.0
"""Seconds within which an announcement comes back, also over a slow line."""

_NOT_PASSED_ON: Final = (
    "The broker passes nothing on of what is announced here, so no device can take part. Its "
    "access rules may not let the aggregator write to %s, or read it: compare them with "
    "deploy/mosquitto/acl."
)
_NOT_KEPT: Final = (
    "The broker keeps no messages for those who come later (retained ones, in the words of MQTT): "
    "they hear of no round. Let it keep those of %s, or use another broker (docs/brokers.md)."
)
_TROUBLES: Final = (_NOT_PASSED_ON, _NOT_KEPT)
"""What is wrong if an announcement is heard never, or once."""


class Echo:
    """Listens for an announcement as it is sent, and once more as the broker keeps it.

    Parameters
    ----------
    loop
        What the service stands on.
    ask
        Asks the broker for what it keeps of the announcements' topic.
    topic
        Where rounds are announced, for the log.
    """

    def __init__(self, loop: Loop, ask: Callable[[], None], topic: str) -> None:
        self._ask = ask
        self._topic = topic
        self._deadline = loop.deadline(self._missed)
        self._known = False
        self._heard = 0
        self._said = -1

    def announced(self) -> None:
        """Learn that an announcement was sent, and the one before may be kept no longer."""
        if not self._known:
            self._heard = 0
            self._deadline.within(PATIENCE)

    def arrived(self) -> None:
        """Learn that the last announcement was heard."""
        if self._known:
            return
        self._heard += 1
        if self._heard == len(_TROUBLES):
            self._known, self._said = True, -1
            self._deadline.cancel()
        else:
            self._ask()
            self._deadline.within(PATIENCE)

    def lost(self) -> None:
        """Learn that the connection was lost: the next one may be to another broker."""
        self._known = False
        self._deadline.cancel()

    def _missed(self) -> None:
        self._known = True
        if self._said != self._heard:
            self._said = self._heard
            log.error(_TROUBLES[self._heard], self._topic)
