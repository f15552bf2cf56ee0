"""A federation of many light clients: whether all updates count, and the memory stays flat.

    python benchmarks/fleet.py --clients 500

A broker and an aggregator, each a process of its own on this machine, play rounds with few clients
and then, in a federation of its own, with many. All clients are connections held by this process;
they do not train: each sends the same small update, with its own number of examples. Every client
is wanted in every round.

- counted: updates that the aggregator's ledger has, of those sent;
- seconds: of a round, the median;
- processor: seconds that the aggregator has used for an update;
- memory: the aggregator's peak; the last line says how it differs between few and many clients.
"""

import argparse
import hashlib
import json
import selectors
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import paho.mqtt.client as mqtt
import peers
from paho.mqtt.enums import CallbackAPIVersion

from aggregator.ledger import History
from aggregator.ledger.folder import FederationFolder
from shared.architectures import architecture_of
from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.protocol.frames import Chunk
from shared.protocol.messages import (
    Accepted,
    Announcement,
    Offer,
    Presence,
    Received,
    Refused,
    decode_reply,
)
from shared.protocol.topics import Topics
from shared.randomness import stream
from shared.task import DEFAULT_TASK

FEDERATION: Final = "chorus"
TOPICS: Final = Topics(FEDERATION)
MODEL: Final = "conv"
CODEC: Final = "top5-int8"
PATIENCE: Final = 3600.0
"""Seconds that all rounds of a federation may take."""

LOOK: Final = 0.5
"""Seconds between looks at whether a client has to say something again."""

AGAIN: Final = 60.0
"""Seconds without an answer after which an update is offered again: many wait for their turn."""


@dataclass
class LightClient:
    """One connection that offers the same update in every round.

    Attributes
    ----------
    name
        Its name.
    examples
        How many it says it trained on.
    content
        The update's file.
    """

    name: str
    examples: int
    content: bytes
    port: int
    accepted: set[int] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    _offer: Offer | None = None
    _sent: int = 0
    _heard: float = 0.0

    def connect(self) -> mqtt.Client:
        """Connect, and say that the client is there."""
        self.client = client = mqtt.Client(CallbackAPIVersion.VERSION2, self.name)
        client.on_message = self._message
        client.connect("127.0.0.1", self.port)
        client.subscribe([(TOPICS.round, 1), (TOPICS.replies(self.name), 1)])
        online = Presence(state="online", examples=self.examples)
        client.publish(TOPICS.presence(self.name), online.encode(), 1, retain=True)
        return client

    def look(self, now: float) -> None:
        """Offer again what was not answered."""
        self.client.loop_misc()
        if self._offer and now - self._heard > AGAIN:
            self._send_offer(self._offer)

    def _message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == TOPICS.round:
            self._announced(Announcement.decode(message.payload))
            return
        match decode_reply(message.payload):
            case Received() as received if self._offer:
                self._heard = time.monotonic()
                self._send(received)
            case Accepted() if self._offer:
                self.accepted.add(self._offer.round)
                self._offer = None
            case Refused(reason=reason) if self._offer:
                self.refused.append(reason)
                self._offer = None

    def _announced(self, announcement: Announcement) -> None:
        number = announcement.round
        if announcement.state != "open" or number in self.accepted or self._offer:
            return
        if self.name in (announcement.clients or [self.name]):
            self._send_offer(
                Offer(
                    update=hashlib.sha256(self.content).hexdigest(),
                    size=len(self.content),
                    run=announcement.run,
                    round=number,
                    model=announcement.model.digest,
                    codec=CODEC,
                    examples=self.examples,
                )
            )

    def _send_offer(self, offer: Offer) -> None:
        self._offer, self._sent, self._heard = offer, 0, time.monotonic()
        self.client.publish(TOPICS.requests(self.name), offer.encode(), 1)

    def _send(self, received: Received) -> None:
        safe = received.ranges[0][1] if received.ranges else 0
        begin, end = max(self._sent, safe), min(len(self.content), safe + received.window)
        for offset in range(begin, end, 1 << 16):
            payload = self.content[offset : min(end, offset + (1 << 16))]
            chunk = Chunk(hashlib.sha256(self.content).hexdigest(), offset, payload)
            self.client.publish(TOPICS.chunks(self.name), chunk.encode(), 0)
        self._sent = max(begin, end)


class Fleet:
    """Many light clients in one thread."""

    def __init__(self, port: int, count: int, content: bytes) -> None:
        self._selector = selectors.DefaultSelector()
        self.clients = [
            LightClient(f"light-{number:05d}", 1 + number % 50, content, port)
            for number in range(count)
        ]
        for client in self.clients:
            self._selector.register(client.connect().socket(), selectors.EVENT_READ, client)
            self.turn(0)

    def turn(self, wait: float) -> None:
        """Take what has arrived, and send what waits."""
        for key, events in self._selector.select(wait):
            client = key.data.client
            if events & selectors.EVENT_READ:
                client.loop_read()
            if events & selectors.EVENT_WRITE:
                client.loop_write()
            writes = selectors.EVENT_WRITE if client.want_write() else 0
            self._selector.modify(key.fileobj, selectors.EVENT_READ | writes, key.data)

    def look(self) -> None:
        """Let each client look at its time."""
        now = time.monotonic()
        for client in self.clients:
            client.look(now)

    def close(self) -> None:
        """Take leave."""
        for client in self.clients:
            client.client.disconnect()
        self._selector.close()


def update_file() -> bytes:
    """Write the update that all clients send."""
    architecture = architecture_of(MODEL, DEFAULT_TASK)
    delta = stream(0, "benchmark").standard_normal(architecture.parameters, np.float32) / 1000
    encoded = encode_update(delta, architecture, make_codec(CODEC), stream(0, "codec"))
    with tempfile.TemporaryDirectory() as folder:
        encoded.write(Path(folder, "update"))
        return Path(folder, "update").read_bytes()


def measured(count: int, rounds: int, content: bytes) -> dict[str, Any]:
    """Play a federation; give what is said of it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, _ = stack.enter_context(peers.broker(folder))
        settings = {
            "state": str(folder / "state"),
            "model": MODEL,
            "codecs": CODEC,
            "rounds": rounds,
            "quorum": count,
        }
        process = stack.enter_context(
            peers.child(Path(peers.__file__), "aggregator", port, json.dumps(settings))
        )
        said = peers.lines(process, PATIENCE)
        next(said)
        aggregator = peers.Process("aggregator", process.pid)
        before, peak = aggregator.seconds(), aggregator.peak()
        fleet = Fleet(port, count, content)
        stack.callback(fleet.close)
        everything = set(range(1, rounds + 1))
        end, look_at = time.monotonic() + PATIENCE, 0.0
        while not all(client.accepted == everything for client in fleet.clients):
            fleet.turn(LOOK)
            if (now := time.monotonic()) >= look_at:
                look_at = now + LOOK
                fleet.look()
                with suppress(OSError, IndexError):  # at the end it is gone
                    peak = aggregator.peak()
            if now > end:
                sys.exit("Not every update was accepted in time.")
        ends = [json.loads(next(said))[1] for _ in range(rounds)]
        used = aggregator.seconds() - before
        with History(FederationFolder(folder / "state").ledger) as history:
            counted = sum(len(history.updates(number)) for number in everything)
            refused = len(history.refusals())
        return {
            "clients": count,
            "counted": counted,
            "sent": count * rounds,
            "refused": refused,
            "seconds": median(b - a for a, b in pairwise(ends)),
            "processor": used / (count * rounds),
            "memory": peak,
        }


def main() -> None:
    """Play with few clients and with many, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=500, help="the many")
    parser.add_argument("--few", type=int, default=20, help="the few")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    content = update_file()
    found = [measured(n, arguments.rounds, content) for n in (arguments.few, arguments.clients)]
    few, many = found
    if arguments.json:
        print(json.dumps({"update": len(content), "federations": found}))
        return
    print(f"updates of {len(content)} bytes ({MODEL}, {CODEC}), {arguments.rounds} rounds")
    print("| clients | counted | refused | seconds a round | processor an update | memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for one in found:
        print(
            f"| {one['clients']} | {one['counted']} of {one['sent']} | {one['refused']} "
            f"| {one['seconds']:.2f} | {one['processor'] * 1000:.1f} ms | {one['memory']:.0f} MB |"
        )
    ratio = many["memory"] / few["memory"]
    print(f"memory with {many['clients']} clients: {ratio:.2f} of that with {few['clients']}")


if __name__ == "__main__":
    main()
