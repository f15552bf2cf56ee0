"""Somebody on the broker who may write whatever it likes, and what it likes to write."""

import hashlib
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.protocol.frames import Chunk
from shared.protocol.messages import Announcement, Offer
from shared.protocol.topics import Topics
from shared.randomness import stream
from tests.edge_client.tiny import TINY
from tests.end_to_end.federation.world import World

if TYPE_CHECKING:
    from tests.end_to_end.federation.network import Link, Message

TOPICS = Topics("chorus")


def update_file(length: float = 1.0, *, seed: int = 0) -> bytes:
    """Write an update of the right form, with values of this size."""
    delta = stream(seed, "hostile").standard_normal(TINY.parameters, np.float32)
    delta *= np.float32(length)
    encoded = encode_update(delta, TINY, make_codec("float32"), stream(seed, "codec"))
    with tempfile.TemporaryDirectory() as folder:
        encoded.write(Path(folder, "update"))
        return Path(folder, "update").read_bytes()


def with_value(value: float) -> bytes:
    """Put a value at the end of an update."""
    return update_file(0.01)[:-4] + struct.pack("<f", value)


def with_names(name: str) -> bytes:
    """Give an update a tensor of another name, of the same length."""
    content = update_file(0.01)
    (length,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + length]
    place = header.index(b'"delta/') + 1
    replaced = header[:place] + name.encode() + header[place + len(name.encode()) :]
    assert len(replaced) == length
    return content[:8] + replaced + content[8 + length :]


class Mallory:
    """Writes to any topic, under any name, and hears what is answered."""

    def __init__(self, world: World, name: str = "client-00000") -> None:
        self.world = world
        self.name = name
        self.heard: list[Message] = []
        self.link: Link = world.network.connection(
            None,
            "mallory",
            identifier=TOPICS.identifier("mallory"),
            subscriptions=[TOPICS.replies("+")],
            on_message=lambda *message: self.heard.append(message),
            on_change=lambda *_: None,
        )
        self.link.start()

    @property
    def announcement(self) -> Announcement:
        return Announcement.decode(self.world.network.retained[TOPICS.round])

    def offer(self, content: bytes, **values: Any) -> Offer:
        """Offer a file, as an update of the current round if not told otherwise."""
        announcement = self.announcement
        offer = Offer.model_construct(
            **{
                "protocol": "1.0",
                "kind": "offer",
                "update": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "run": announcement.run,
                "round": announcement.round,
                "model": announcement.model.digest,
                "codec": "float32",
                "examples": 5,
                **values,
            }
        )
        self.say(TOPICS.requests(self.name), offer.model_dump_json(exclude_none=True).encode())
        return offer

    def send(self, content: bytes, **values: Any) -> Offer:
        """Offer a file, and send it without waiting for an answer."""
        offer = self.offer(content, **values)
        chunk = self.announcement.chunk
        for begin in range(0, len(content), chunk):
            self.chunk(offer.update, begin, bytes(content[begin : begin + chunk]))
        return offer

    def chunk(self, update: str, offset: int, payload: bytes) -> None:
        self.say(TOPICS.chunks(self.name), Chunk(update, offset, payload).encode())

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.world.network.route(topic, payload, retain=retain)
