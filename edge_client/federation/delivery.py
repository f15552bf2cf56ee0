"""A finished update on its way: offered, sent as far as it may, kept until it is decided on."""

from collections.abc import Callable

from edge_client.federation.announced_round import AnnouncedRound
from edge_client.federation.client_state import ClientState
from edge_client.federation.transfers import FRUITLESS, UpdateTransfer, stalled
from shared.errors import ChorusError
from shared.loop import Loop
from shared.mqtt.connection import Connection
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer, Received
from shared.protocol.topics import Topics


class Delivery:
    """Delivers the update that the client's state keeps.

    Parameters
    ----------
    client_state
        Where the update and its offer are.
    connection, topics
        Where it goes.
    loop
        What it stands on.
    in_vain
        Told, once, that what is sent gets nowhere.
    """

    def __init__(
        self,
        client_state: ClientState,
        connection: Connection,
        topics: Topics,
        *,
        loop: Loop,
        in_vain: Callable[[ChorusError], None],
    ) -> None:
        self._client_state = client_state
        self._connection = connection
        self._topics = topics
        self._clock = loop.clock
        self._in_vain = in_vain
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
        """Offer the update, to be sent in chunks of so many bytes.

        Raises
        ------
        StorageError
            If there is no room to write down that it leaves the device.
        """
        if offer := self._client_state.offer:
            self._client_state.sent.note(offer)
            self._sending = UpdateTransfer(offer.size, chunk, self._clock())
            self._offer()

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
        topic = self._topics.chunks(self._connection.name)
        with self._client_state.update.open("rb") as file:
            while self._connection.has_room(sending.chunk) and (due := sending.due()):
                begin, end = due
                file.seek(begin)
                chunk = Chunk(offer.update, begin, file.read(end - begin))
                if not self._connection.publish(topic, chunk.encode(), qos=0, wait=False):
                    return  # the connection is gone; all that is not safe is sent again

    def arrived_damaged(self) -> None:
        """Learn that it has to be sent once more; not at once, as the damage may go on."""
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
        self._connection.publish(topic, offer.encode(), wait=False)
