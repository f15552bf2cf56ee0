"""Strangers that hold all places for uploads by sending a little, through a real broker."""

import itertools
import threading
import time
from pathlib import Path

import pytest

from aggregator.server.inbox import MOST_ACTIVE
from aggregator.server.service import Service
from shared.loop import Loop
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.frames import Chunk
from shared.protocol.messages import Accepted, Message, Offer, Presence, Received, decode_reply
from shared.protocol.topics import Topics
from tests.aggregator.server.updates import offer_of, open_round, update_of
from tests.brokers import Mosquitto, wait_until
from tests.peers import Peer, Peers

TOPICS = Topics("chorus")
CHUNK = 1024

FASTER = 60
"""The service's seconds in one of ours: it need not be waited for half a minute."""

pytestmark = pytest.mark.usefixtures("tiny")


class Sender:
    """Sends updates under any name."""

    def __init__(self, peers: Peers, broker: BrokerSettings) -> None:
        self.peer: Peer = peers.connect(broker, "sender", TOPICS.replies("+"), TOPICS.round)
        # What is said before the aggregator hears is lost.
        wait_until(lambda: TOPICS.round in dict(self.peer.messages), "the round is announced")

    def say(self, topic: str, payload: bytes) -> None:
        self.peer.connection.publish(topic, payload)

    def told(self, client: str) -> list[Message]:
        topic = TOPICS.replies(client)
        return [decode_reply(payload) for to, payload in self.peer.messages if to == topic]

    def window(self, client: str) -> int | None:
        """Give the window that a client was told last."""
        windows = [told.window for told in self.told(client) if isinstance(told, Received)]
        return windows[-1] if windows else None

    def send(self, client: str, offer: Offer, content: bytes, begin: int) -> None:
        chunk = Chunk(offer.update, begin, content[begin : begin + CHUNK])
        self.say(TOPICS.chunks(client), chunk.encode())


def test_names_that_send_the_same_again_and_again_do_not_keep_others_out(
    mosquitto: Mosquitto, peers: Peers, tmp_path: Path
) -> None:
    strangers = [f"stranger-{number:02}" for number in range(MOST_ACTIVE)]
    with open_round(tmp_path / "state", [*strangers, "late"], round_seconds=1e6) as federation:
        loop = Loop(clock=lambda: FASTER * time.monotonic())
        service = Service(federation, mosquitto.settings, loop=loop)
        serving = threading.Thread(target=service.run)
        serving.start()
        try:
            sender = Sender(peers, mosquitto.settings)
            contents = {name: update_of(name, tmp_path) for name in [*strangers, "late"]}
            offers = {name: offer_of(federation, each) for name, each in contents.items()}
            for name in strangers:
                sender.say(TOPICS.presence(name), Presence(state="online", examples=7).encode())
                sender.say(TOPICS.requests(name), offers[name].encode())
                wait_until(lambda name=name: sender.window(name), "it has a place")  # type: ignore[misc] # bound early
            sender.say(TOPICS.requests("late"), offers["late"].encode())
            wait_until(lambda: sender.window("late") == 0, "it waits")
            turns, next_turn = itertools.cycle(range(0, 5 * CHUNK, CHUNK)), 0.0

            def has_its_turn() -> bool:
                # Often enough to look alive, and no flood: that would be another test.
                nonlocal next_turn
                if time.monotonic() > next_turn:
                    next_turn, begin = time.monotonic() + 0.1, next(turns)
                    for name in strangers:
                        sender.send(name, offers[name], contents[name], begin)
                return bool(sender.window("late"))

            wait_until(has_its_turn, "who is honest has its turn")
            assert 0 in map(sender.window, strangers), "who was too slow is told to wait"
            for begin in range(0, len(contents["late"]), CHUNK):
                sender.send("late", offers["late"], contents["late"], begin)
            accepted = Accepted(update=offers["late"].update)
            wait_until(lambda: accepted in sender.told("late"), "it counts")
            # What strangers had sent stays, and their turn comes again.
            name = strangers[0]
            wait_until(lambda: sender.window(name), "the first stranger has a place again")
            for begin in range(0, len(contents[name]), CHUNK):
                sender.send(name, offers[name], contents[name], begin)
            counted = Accepted(update=offers[name].update)
            wait_until(lambda: counted in sender.told(name), "it counts as well")
        finally:
            service.stop()
            serving.join()
