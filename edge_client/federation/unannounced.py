"""Nobody announces a round: something is not as it should be, and the device says so."""

import logging
from typing import Any, Final

from shared.loop import Loop

log = logging.getLogger(__name__)

_UNANNOUNCED: Final = 10.0
"""Seconds without an announcement, which the broker keeps, after which something seems wrong."""


class Unannounced:
    """Says so when nobody announces a round: then there is no aggregator, or of another name.

    Parameters
    ----------
    federation
        The federation's name.
    loop
        The participant's loop.
    """

    def __init__(self, federation: str, loop: Loop) -> None:
        self._federation = federation
        self._away = False
        self._deadline = loop.deadline(self._say)
        self._deadline.within(_UNANNOUNCED)

    def report(self, doing: dict[str, Any]) -> None:
        """Learn what the device is doing, as :class:`.participant.Participant` reports it."""
        self._away = doing["state"] == "away"
        if doing["number"] is not None or doing["state"] == "troubled":
            self._deadline.cancel()  # somebody has; or what is wrong was said already

    def _say(self) -> None:
        if not self._away:
            log.info(
                "Nobody has announced a round of the federation %s yet: is `aggregator serve` "
                "running, with this broker and name? This device waits.",
                self._federation,
            )
