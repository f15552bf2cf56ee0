"""What the aggregator answers: how this device's update fares, and what it cannot be sent."""

import logging
from collections.abc import Callable

from edge_client.federation.client_state import ClientState
from edge_client.federation.delivery import Delivery
from edge_client.federation.fetching import Fetching
from shared.protocol.messages import Accepted, Offer, Received, Refused, Unavailable, decode_reply

log = logging.getLogger(__name__)


class Replies:
    """Takes each reply to what it is about, if that is still under way.

    Parameters
    ----------
    client_state
        Knows which update is finished, and which counted last.
    delivery, fetching
        What is under way.
    arrived
        Told, with what it was offered with, that all of the finished update is at the aggregator.
    decided
        Told what became of the finished update: what it was offered with, why it does not count
        (empty if it does), and as ``foreign`` whether it is of no round of the federation.
    forgotten
        Told that the update counts no more that counted last: its round is to be done again.
    """

    def __init__(
        self,
        client_state: ClientState,
        delivery: Delivery,
        fetching: Fetching,
        *,
        arrived: Callable[[Offer], None],
        decided: Callable[..., None],
        forgotten: Callable[[], None],
    ) -> None:
        self._client_state = client_state
        self._delivery = delivery
        self._fetching = fetching
        self._arrived = arrived
        self._decided = decided
        self._forgotten = forgotten

    def hear(self, payload: bytes) -> None:
        """Take a reply.

        Raises
        ------
        ProtocolError
            If it is none.
        StorageError
            If the disk is full: it is to be heard again.
        """
        reply = decode_reply(payload)
        offer, counted = self._client_state.offer, self._client_state.counted
        match reply:
            case Unavailable(file=file, sentence=sentence):
                if self._fetching.digest == file:
                    log.info("%s", sentence)
                    self._fetching.drop()
            case Refused(reason="forgotten") if counted and counted.update == reply.update:
                log.warning("%s", reply.sentence)
                self._client_state.do_again()
                self._forgotten()
            case _ if offer is None or offer.update != reply.update:
                pass  # about an update that was decided on before
            case Received():
                self._delivery.told(reply)
                if reply.ranges == [(0, offer.size)]:
                    self._arrived(offer)
            case Accepted():
                self._decide(offer, "")
            case Refused(reason=reason, sentence=sentence):
                # Who gives no sentence has refused it all the same.
                why = sentence or f"The aggregator says no more than: {reason}."
                if reason == "damaged":
                    self._delivery.arrived_damaged(why)
                else:
                    self._decide(offer, why, foreign=reason == "foreign")

    def _decide(self, offer: Offer, refused: str, *, foreign: bool = False) -> None:
        if refused:
            log.warning("Round %d: the update was refused: %s", offer.round, refused)
        else:
            log.info("Round %d: the update was accepted.", offer.round)
        self._decided(offer, refused, foreign=foreign)
