"""A broker that does what it likes with the messages of a federation whose members sign them."""

import json
import random
from collections.abc import Callable, Iterator

import pytest

from shared.protocol.topics import Topics
from tests.end_to_end.federation.network import Link, Message
from tests.end_to_end.federation.world import World, simulated, world

TOPICS = Topics("chorus")

Fate = Callable[[Link, Message], list[Message]]


def in_words(topic: str) -> bool:
    return topic == TOPICS.round or topic.endswith(("/presence", "/requests", "/replies"))


def others(value: object) -> object:
    """Give another value that is as good to read."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        words = {"open": "finished", "waiting": "finished", "online": "offline"}
        return words.get(value, ("0" if value[:1] != "0" else "1") + value[1:])
    if isinstance(value, list):
        return value[1:] or [0]
    return 0


def each_altered(fields: dict[str, object]) -> dict[str, dict[str, object]]:
    """Give a message once for each of its fields, also those within one, with that one changed."""
    found = {}
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            inner = each_altered(value)
            found.update({f"{name}.{one}": {**fields, name: it} for one, it in inner.items()})
        else:
            found[name] = {**fields, name: others(value)}
    return found


class Hostile:
    """What the broker does with each message, besides passing it on or instead."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - not cryptography
        self.kept: list[Message] = []
        self.changed = set[tuple[str, str]]()

    def alters(self, _: Link, message: Message) -> list[Message]:
        """Tell each message with each field changed in turn before it, and with one after it."""
        altered = self.altered(message)
        return [*altered, message, *altered[:1]]

    def altered(self, message: Message) -> list[Message]:
        """Give a message with each of its fields changed, in any order."""
        topic, payload = message
        if not (in_words(topic) and payload):
            return []
        found = each_altered(json.loads(payload))
        self.changed.update((topic.rpartition("/")[2], name) for name in found)
        made = [json.dumps(each, separators=(",", ":")).encode() for each in found.values()]
        self.rng.shuffle(made)
        return [(topic, each) for each in made]

    def replays(self, link: Link, message: Message) -> list[Message]:
        """Tell again what was told before, at any time and as often as it likes."""
        self.kept.append(message)
        mine = [one for one in self.kept if in_words(one[0]) and heard_by(link, one[0])]
        again = self.rng.sample(mine, min(3, len(mine)))
        return [message, *again]

    def swaps(self, link: Link, message: Message) -> list[Message]:
        """Tell each message as if it were another one's, or of another kind."""
        topic, payload = message
        if not in_words(topic):
            return [message]
        places = [one for one in self._places() if one != topic and heard_by(link, one)]
        return [*((place, payload) for place in places), message]

    def _places(self) -> list[str]:
        clients = ("client-00000", "client-00001")
        kinds = ("presence", "requests", "replies")
        return [TOPICS.round, *(TOPICS.of_client(c, kind) for c in clients for kind in kinds)]

    def withholds(self, _: Link, message: Message) -> list[Message]:
        """Keep most of what is said to itself."""
        return [message] if self.rng.random() < 0.4 else []


def heard_by(link: Link, topic: str) -> bool:
    if link.name.endswith("-aggregator"):
        return topic.endswith(("/presence", "/requests")) or topic == TOPICS.round
    return topic in (TOPICS.round, TOPICS.replies(link.name))


@pytest.fixture
def joined() -> Iterator[World]:
    with world(by_invitation=True) as it:
        yield it


@pytest.mark.parametrize("what", ["replays", "swaps"])
def test_it_changes_nothing_of_the_result(what: str, joined: World) -> None:
    joined.fate = getattr(Hostile(), what)
    joined.settle()
    joined.check(simulated())


def test_whichever_field_it_alters_the_result_is_the_same(joined: World) -> None:
    hostile = Hostile()
    joined.fate = hostile.alters
    joined.settle()
    joined.check(simulated())
    assert hostile.changed >= {
        *(("presence", name) for name in ("state", "supply", "counter", "signature")),
        *(("requests", name) for name in ("kind", "update", "round", "examples", "file", "ranges")),
        *(("replies", name) for name in ("kind", "update", "window", "signature")),
        *(("round", name) for name in ("state", "model.digest", "training.learning_rate", "seed")),
    }


def test_what_it_withholds_is_done_when_it_does_so_no_more(joined: World) -> None:
    honest, joined.fate = joined.fate, Hostile().withholds
    joined.start()
    for turn in range(2000):
        joined.step(turn)
    joined.fate = honest
    for link in joined.network.links:
        joined.network.cut(link)
    joined.settle()
    joined.check(simulated())


def test_a_device_that_starts_again_believes_nothing_older_than_it_has_heard(joined: World) -> None:
    kept: list[bytes] = []

    def keep(_: Link, message: Message) -> list[Message]:
        if message[0] == TOPICS.round:
            kept.append(message[1])
        return [message]

    joined.fate = keep
    joined.settle(until=lambda: round_of(joined) > 1)
    first, latest = kept[0], joined.network.retained[TOPICS.round]
    joined.kill_client(0)
    joined.network.retained[TOPICS.round] = first
    joined.start()
    joined.rest()
    client = joined.clients[0].participant
    assert client._round is None, "it believes nothing until it hears what is new"
    joined.network.route(TOPICS.round, latest, retain=True)
    joined.settle()
    joined.check(simulated())


def round_of(it: World) -> int:
    record = it.server and it.server.federation.ledger.last_round()
    return record.number if record else 0
