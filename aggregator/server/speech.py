"""All that the aggregator says: to everybody, to one client, to its broker, to itself."""

import logging

from shared.errors import StorageError
from shared.mqtt.connection import Connection
from shared.protocol.frames import Chunk
from shared.protocol.joining import JoinAnswer
from shared.protocol.messages import Announcement, Message
from shared.protocol.topics import Topics

log = logging.getLogger(__name__)


class Speech:
    """Says it over a connection, and waits for nobody: who hears nothing asks again.

    While a full disk keeps messages from being signed they are not sent either, and that is said
    once.

    Parameters
    ----------
    topics
        Of the federation.

    Attributes
    ----------
    connection
        Where it goes; given before anything is said.
    """

    connection: Connection

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._mute = False

    def announce(self, announcement: Announcement) -> bool:
        """Tell everybody where the federation stands; say whether it was sent."""
        return self._say(self._topics.round, announcement, retain=True)

    def reply(self, client: str, message: Message) -> None:
        """Answer a client."""
        self._say(self._topics.replies(client), message)

    def tell(self, client: str, message: bytes) -> None:
        """Send a client a message that is made already."""
        self._publish(self._topics.replies(client), message)

    def answer(self, name: str, answer: JoinAnswer) -> None:
        """Answer a device that asks to join."""
        self._say(self._topics.joined(name), answer)

    def chunk(self, chunk: Chunk) -> bool:
        """Send a piece of a model to all who want it, when there is room; say whether it went."""
        self.connection.progressed()
        return self.connection.publish(self._topics.model(chunk.digest), chunk.encode(), qos=0)

    def probe(self, payload: bytes, *, retain: bool = False) -> bool:
        """Send oneself something, to see what the broker passes on, and who else hears it."""
        return self.to_broker(self._topics.probe, payload, retain=retain)

    def to_broker(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Say what is not for clients, and not signed."""
        return self.connection.publish(topic, payload, qos=0, retain=retain, wait=False)

    def _say(self, topic: str, message: Message, *, retain: bool = False) -> bool:
        return self._publish(topic, message.encode(), retain=retain)

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Sign and send a message; say whether it was sent."""
        try:
            # It must not wait behind the chunks of models.
            sent = self.connection.publish(topic, payload, retain=retain, wait=False)
        except StorageError as error:
            if not self._mute:
                log.error("%s", error.awaited)  # noqa: TRY400 -- a full disk
            self._mute = True
            return False
        self._mute = False
        return sent
