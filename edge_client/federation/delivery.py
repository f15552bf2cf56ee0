"""A finished update on its way: looked at, offered, sent as far as it may, until it is decided on.

It may have been made by an earlier process, and its file have been lost since.
"""

import logging
from collections.abc import Callable
from functools import partial

from edge_client.federation.announced_round import AnnouncedRound
from edge_client.federation.client_state import ClientState
from edge_client.federation.terms import TermsSettings
from edge_client.federation.transfers import FRUITLESS, UpdateTransfer, stalled
from shared.errors import ChorusError, FederationError
from shared.loop import Loop, Worker
from shared.mqtt.connection import Connection
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer, Received
from shared.protocol.topics import Topics

log = logging.getLogger(__name__)


class Delivery:
    """Delivers the update that the client's state keeps.

    Parameters
    ----------
    client_state
        Where the update and its offer are.
    connection, topics
        Where it goes.
    loop, worker
        What it stands on, and where an update is looked at: before it is offered, and if it arrived
        damaged.
    terms
        Its owner's, which say how much may be told of it.
    in_vain
        Told, once, that what is sent gets nowhere.
    dropped
        Told of an update that is not to be sent: what it was to be offered with, and why.
    """

    def __init__(
        self,
        client_state: ClientState,
        connection: Connection,
        topics: Topics,
        *,
        loop: Loop,
        worker: Worker,
        terms: TermsSettings,
        in_vain: Callable[[ChorusError], None],
        dropped: Callable[[Offer, str], None],
    ) -> None:
        self._client_state = client_state
        self._connection = connection
        self._topics = topics
        self._clock = loop.clock
        self._worker = worker
        self._terms = terms
        self._in_vain = in_vain
        self._dropped = dropped
        self._looked_at: Offer | None = None
        self._chunk = 0
        self._sending: UpdateTransfer | None = None
        loop.watch(lambda: self._again_at, self._look)

    @property
    def chunk(self) -> int | None:
        """Bytes of the chunks that an offered update is sent in; ``None`` if none is."""
        return self._sending.chunk if self._sending else None

    @property
    def _again_at(self) -> float | None:
        """When to offer it again if nothing is heard."""
        return self._sending.again_at if self._sending and self._connection.connected else None

    def begin(self, chunk: int) -> None:
        """Offer the update, to be sent in chunks of so many bytes, once it was found to be whole.

        Raises
        ------
        StorageError
            Later, in the loop, if there is no room to write down that it leaves the device: to be
            called again.
        """
        self._chunk = chunk
        self._if_intact(self._begin)

    def _begin(self, offer: Offer) -> None:
        self._client_state.sent.note(self._terms.as_told(offer))
        self._sending = UpdateTransfer(offer.size, self._chunk, self._clock())
        self._offer()

    def _if_intact(self, then: Callable[[Offer], object]) -> None:
        """Look whether the update is whole here; go on with it if so, and drop it if not."""
        if (offer := self._client_state.offer) and self._looked_at != offer:
            self._looked_at = offer
            look = partial(self._client_state.intact, offer)
            self._worker.do(look, partial(self._looked, offer, then), self._in_vain)

    def _looked(self, offer: Offer, then: Callable[[Offer], object], intact: bool) -> None:  # noqa: FBT001 -- as a worker calls it
        if self._looked_at == offer:
            self._looked_at = None
        if self._client_state.offer != offer:
            return  # it was decided on meanwhile, or another run is announced
        if intact:
            then(offer)
        else:
            self._sending = None
            lost = FederationError(
                f"The update of round {offer.round} is lost: its file {self._client_state.update} "
                "is missing or damaged."
            )
            self._dropped(offer, lost.message)

    def restart(self) -> None:
        """Offer it again: the connection was lost, or something was on its way."""
        if self._sending:
            self._sending.restart(self._clock())
            self._offer()

    def ask_what_counts(self, announced: AnnouncedRound) -> None:
        """Ask whether the last update still counts, if this client has done a round that is open.

        Usually such a round waits for others. But an aggregator that was put back to an earlier
        state knows nothing of the update, and would wait for it.
        """
        counted = self._client_state.counted
        done = announced.invites and self._client_state.is_done(*announced.key)
        if counted and done and self._client_state.offer is None:
            self._request(counted.model_copy(update={"counted": True}))

    def told(self, received: Received) -> None:
        """Learn what of it is safe; send the chunks that are due."""
        if self._sending:
            if self._sending.told(received, self._clock()):
                self._connection.progressed()
            self.go_on()

    def go_on(self) -> None:
        """Send chunks that are due while the connection has room; to be called when it has again.

        It never waits for room: what the aggregator says meanwhile would wait too.
        """
        offer, sending = self._client_state.offer, self._sending
        if sending is None or offer is None:
            return
        try:
            self._send(offer, sending)
        except (OSError, EOFError):
            self.begin(sending.chunk)  # it looks at what has become of the file

    def _send(self, offer: Offer, sending: UpdateTransfer) -> None:
        topic = self._topics.chunks(self._connection.name)
        with self._client_state.update.open("rb") as file:
            while self._connection.has_room(sending.chunk) and (due := sending.due()):
                begin, end = due
                file.seek(begin)
                content = file.read(end - begin)
                if len(content) < end - begin:
                    raise EOFError
                chunk = Chunk(offer.update, begin, content)
                if not self._connection.publish(topic, chunk.encode(), qos=0, wait=False):
                    return  # the connection is gone; all that is not safe is sent again

    def arrived_damaged(self, sentence: str) -> None:
        """Learn that it arrived damaged: it may be so here, or has to be sent once more.

        Parameters
        ----------
        sentence
            What the aggregator says of it.
        """
        self._if_intact(partial(self._send_again, sentence))

    def _send_again(self, sentence: str, offer: Offer) -> None:
        """Send it once more; not at once, as the damage may go on."""
        if self._chunk and self._chunk != self.chunk:
            self._begin(offer)  # it was to begin, anew or at all, while it was looked at
            return
        log.warning("%s It is sent again.", sentence)
        if self._sending:
            self._sending.restart(self._clock())

    def end(self) -> None:
        """Learn that it was decided on, or is not to be sent."""
        self._sending = None

    def _look(self) -> None:
        """Offer it again if nothing was heard for a while, unless it still goes out."""
        if self._sending and self._connection.busy:
            self._sending.goes_on(self._clock())
        elif sending := self._sending:
            sending.hear_nothing(self._clock())
            self._offer()
            if sending.fruitless == FRUITLESS:
                self._in_vain(stalled("The update was sent", sending.chunk))

    def _offer(self) -> None:
        if offer := self._client_state.offer:
            self._request(offer)

    def _request(self, offer: Offer) -> None:
        # If it is not sent now, it is said again when the connection is back.
        topic = self._topics.requests(self._connection.name)
        self._connection.publish(topic, self._terms.as_told(offer).encode(), wait=False)
