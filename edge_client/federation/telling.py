"""What a device tells of its part in a federation: to its screens, and to the log."""

import logging
from collections.abc import Callable
from typing import Any

from edge_client.federation.client_state import ClientState
from edge_client.federation.settings import FederationSettings
from edge_client.federation.unannounced import Unannounced
from shared.errors import ChorusError, StorageError
from shared.loop import Loop
from shared.protocol.messages import Announcement

log = logging.getLogger(__name__)


class Telling:
    """Says what the device is doing, and what is wrong.

    Parameters
    ----------
    settings
        Which federation, and the owner's terms.
    client_state
        What was sent, and how much of it has counted.
    loop
        The participant's loop.
    announced
        Gives the announcement of the last round, if there was one.
    lacks
        Gives how many more examples the device needs, if that is known.
    report
        Told what the device is doing, for its screens.
    """

    def __init__(
        self,
        settings: FederationSettings,
        client_state: ClientState,
        *,
        loop: Loop,
        announced: Callable[[], Announcement | None],
        lacks: Callable[[], int | None],
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._terms = settings.terms.model_dump()
        self._client_state = client_state
        self._announced = announced
        self._lacks = lacks
        self._report = report
        self._unannounced = Unannounced(settings.federation, loop)
        self._remarked = ""

    def tell(self, state: str, remark: str) -> None:
        """Say what the device is doing, and what its person should know of that."""
        announced = self._announced()
        privacy = announced.privacy if announced else None
        doing = {
            "state": state,
            "number": announced.round if announced else None,
            "accepted": self._client_state.accepted,
            "lacks": self._lacks() or 0,
            "remark": remark,
            "terms": self._terms,
            "budget": privacy and privacy.model_dump(),
            "sent": self._client_state.sent.shown,
        }
        self._unannounced.report(doing)
        self._report(doing)

    def note(self, objection: str) -> None:
        """Keep how the device stands to what is announced, for who asks how it is.

        Parameters
        ----------
        objection
            What its owner's terms do not allow, a sentence; empty if there is nothing.
        """
        if (lacks := self._lacks()) is not None:
            announced = self._announced()
            privacy = announced.privacy if announced else None
            self._client_state.note(lacks, objection, privacy.sentence if privacy else None)

    def remark(self, error: ChorusError) -> None:
        """Log what is wrong, but not again and again."""
        sentence = error.message
        if sentence != self._remarked:
            self._remarked = sentence
            log.warning("%s", sentence)

    def failed(self, error: ChorusError) -> None:
        """Take in the loop what failed elsewhere: a full disk is the loop's own matter.

        Raises
        ------
        StorageError
            If it is one.
        """
        if isinstance(error, StorageError):
            raise error
        self.remark(error)

    def in_vain(self, error: ChorusError) -> None:
        """Say that a transfer goes nowhere; it is tried all the same."""
        self.remark(error)
        self.tell("troubled", error.message)
