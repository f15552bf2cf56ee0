"""A client that speaks MQTT through a raw socket, and means harm.

It has the rights of a device called ``mallory``, or where the broker has no rules all rights. Each
method is one thing that it can do to a federation of real processes.
"""

import contextlib
import hashlib
import json
import socket
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from aggregator.broker.packets import Kind, Message, decode_publish, encode, take
from aggregator.server.inbox import MOST_ACTIVE
from shared.architectures import architecture_of
from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.errors import ProtocolError
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.frames import Chunk
from shared.protocol.messages import Accepted, Announcement, Offer, Presence, Want
from shared.protocol.topics import Topics
from shared.randomness import stream
from shared.task import DEFAULT_TASK
from shared.weights import Weights
from tests.aggregator.broker.wire import publish, subscribe, text
from tests.brokers import BOUND
from tests.end_to_end.federation.raw_line import RawLine

NAME: Final = "mallory"

SIXTEEN: Final = tuple(f"{NAME}-{number}" for number in range(MOST_ACTIVE))
"""Others like it, as many as there are places for updates."""

_LARGEST: Final = 1 << 31

_TOO_LARGE: Final = 1 << 63


@cache
def delta_of(norm: float, model: str = "conv") -> Weights:
    """Make an update's difference, of this norm."""
    architecture = architecture_of(model, DEFAULT_TASK)
    delta = stream(0, "attacker").standard_normal(architecture.parameters, np.float32)
    delta *= np.float32(norm / np.linalg.norm(delta))
    return delta


@cache
def update_file(norm: float, model: str = "conv") -> bytes:
    """Write an update of the right form, of this norm."""
    architecture, delta = architecture_of(model, DEFAULT_TASK), delta_of(norm, model)
    encoded = encode_update(delta, architecture, make_codec("float32"), stream(0, "codec"))
    with tempfile.TemporaryDirectory() as folder:
        encoded.write(Path(folder, "update"))
        return Path(folder, "update").read_bytes()


class Attacker:
    """Connects, hears what it may, and does what it is told to.

    Parameters
    ----------
    settings
        Where the broker is, and how to be let in.
    name
        Whose rights it has.
    federation
        What it attacks.
    everything
        Whether it asks to hear all that there is: its own words too, where no rules keep it off.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        name: str = NAME,
        federation: str = "chorus",
        *,
        everything: bool = True,
    ) -> None:
        self.name = name
        self._heard: set[str] = set()
        self._settings = settings
        self._topics = Topics(federation)
        self._announced = b""
        self._came, self._replied = threading.Event(), threading.Event()
        self._come = bytearray()
        self._held, self._sent = b"", 0
        self._line = RawLine(self._connection(self._topics.identifier(name)), self._listen)
        self._say(*[subscribe("#")] * everything, subscribe(self._topics.round))

    def close(self) -> None:
        """Go away."""
        self._line.close()

    @property
    def heard(self) -> set[str]:
        """Topics of all that it has heard so far; it goes on hearing."""
        return self._heard.copy()

    # ------------------------------------------------------------------ what it can do

    def ask_for_what_is_not_there(self, count: int) -> None:
        """Ask for an unknown file, as often and as fast as it can."""
        self._request(Want(file="4" * 64, ranges=[(0, 1)]).encode(), count)

    def ask_for_everything(self, count: int) -> None:
        """Ask for the whole model, again and again."""
        want = Want(file=self.announcement.model.digest, ranges=[(0, 1 << 30)])
        self._request(want.encode(), count)

    def say_numbers_beyond_all_bounds(self) -> None:
        """Send messages whose integers nobody can count with."""
        offer = json.loads(self._offer(b"x").encode())
        want = json.loads(Want(file="4" * 64, ranges=[(0, 1)]).encode())
        for name in ("round", "size", "examples"):
            self._request(json.dumps({**offer, name: _TOO_LARGE}).encode())
        for values in ({"seen": _TOO_LARGE}, {"ranges": [[0, _TOO_LARGE]]}):
            self._request(json.dumps({**want, **values}).encode())
        presence = {"protocol": "1.1", "state": "online", "examples": _TOO_LARGE, "trains": True}
        self._say(publish(self._topics.presence(self.name), json.dumps(presence).encode()))

    def send_single_bytes(self, count: int) -> None:
        """Offer an update, and once it may be sent, send a byte of it at every second place."""
        offer = self._offer_of(update_file(1.0))
        topic = self._topics.chunks(self.name)
        for begin in range(0, 2 * count, 2000):
            places = range(begin, min(begin + 2000, 2 * count), 2)
            self._say(
                *(publish(topic, Chunk(offer.update, place, b"x").encode()) for place in places)
            )

    def hold_a_place(self) -> None:
        """Offer an update, and send its first chunk; :meth:`send_another_chunk` goes on."""
        self._held = update_file(1.0)
        self._sent = 0
        self._offer_of(self._held)
        self.send_another_chunk()

    def send_another_chunk(self) -> None:
        """Send one more chunk of the update whose place it holds, and no more than that."""
        size = self.announcement.chunk
        piece = self._held[self._sent : self._sent + size]
        chunk = Chunk(hashlib.sha256(self._held).hexdigest(), self._sent, piece)
        self._say(publish(self._topics.chunks(self.name), chunk.encode()))
        self._sent += size

    def be_ready(self) -> None:
        """Say that it would train, as an honest client does: then it is invited."""
        presence = Presence(state="online", examples=10_000, task=DEFAULT_TASK.digest)
        self._say(publish(self._topics.presence(self.name), presence.encode(), retain=True))

    def become_the_model(self, norm: float = 990.0, examples: int = 10_000) -> None:
        """Send an update that outweighs all others."""
        content = update_file(norm)
        offer, chunk = self._offer_of(content, examples=examples), self.announcement.chunk
        topic = self._topics.chunks(self.name)
        for begin in range(0, len(content), chunk):
            piece = Chunk(offer.update, begin, content[begin : begin + chunk])
            self._say(publish(topic, piece.encode()))

    def leave_messages(self, count: int, size: int) -> None:
        """Leave retained messages in topics of federations that do not exist."""
        for number in range(count):
            topic = Topics(f"made-up-{number}").presence(self.name)
            self._say(publish(topic, bytes(size), retain=True))

    def be_another(self, victim: str) -> None:
        """Speak for another client: it leaves, its update counts, its messages are heard."""
        topics = self._topics
        self._say(
            publish(topics.presence(victim), b'{"protocol": "1.1", "state": "offline"}'),
            publish(topics.replies(victim), Accepted(update="0" * 64).encode()),
            subscribe(topics.replies(victim), topics.requests(victim), topics.chunks(victim)),
        )

    def take_the_place_of(self, victim: str) -> None:
        """Connect once more, under the identifier of another client."""
        self._connection(self._topics.identifier(victim)).close()

    def announce(self, **changes: Any) -> None:
        """Announce what is not so; with ``run`` or ``round`` what devices keep may not fit it."""
        forged = self.announcement.model_copy(update=changes)
        self._say(publish(self._topics.round, forged.encode(), retain=True))

    # ------------------------------------------------------------------ how

    @property
    def announcement(self) -> Announcement:
        """What was announced last; waited for."""
        assert self._came.wait(BOUND)
        return Announcement.decode(self._announced)

    def _offer_of(self, content: bytes, **values: Any) -> Offer:
        """Offer an update until it is answered: what is sent before that is left aside."""
        offer = self._offer(content, **values)
        self._replied.clear()
        for _ in range(round(BOUND)):
            self._request(offer.encode())
            if self._replied.wait(1.0):
                return offer
        raise AssertionError(f"nobody answers {self.name}")

    def _offer(self, content: bytes, **values: Any) -> Offer:
        announcement = self.announcement
        facts = {
            "update": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "run": announcement.run,
            "round": announcement.round,
            "model": announcement.model.digest,
            "codec": "float32",
            "examples": 5,
        }
        return Offer.model_validate(facts | values)

    def _request(self, payload: bytes, count: int = 1) -> None:
        packet = publish(self._topics.requests(self.name), payload)
        while count > 0:
            self._say(packet * min(count, 1000))
            count -= 1000

    def _say(self, *packets: bytes) -> None:
        self._line.say(b"".join(packets))

    def _connection(self, identifier: str) -> socket.socket:
        settings = self._settings
        link = socket.create_connection(settings.address, timeout=30.0)
        if context := settings.tls_context():
            link = context.wrap_socket(link, server_hostname=settings.host)
        flags, words = 2, text(identifier)
        if password := settings.password():
            flags |= 0xC0
            words += text(settings.username or identifier) + text(password)
        hello = text("MQTT") + bytes([4, flags]) + (60).to_bytes(2) + words
        link.sendall(encode(Kind.CONNECT, hello))
        answer = link.recv(4)
        assert answer[:1] == bytes([Kind.CONNACK << 4]), answer
        return link

    def _listen(self, content: bytes) -> None:
        self._come += content
        while packet := take(self._come, _LARGEST):
            if packet.kind == Kind.PUBLISH:
                self._hear(*decode_publish(packet.flags, packet.body))

    def _hear(self, message: Message, number: int) -> None:
        if number:
            self._say(encode(Kind.PUBACK, number.to_bytes(2)))
        self._heard.add(message.topic)
        if message.topic == self._topics.replies(self.name):
            self._replied.set()
        if message.topic == self._topics.round and message.payload:
            with contextlib.suppress(ProtocolError):
                Announcement.decode(message.payload)
                self._announced = message.payload
                self._came.set()
