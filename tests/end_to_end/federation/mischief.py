"""What can happen to a federation on its way, drawn by hypothesis."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from shared.protocol.frames import Chunk
from tests.end_to_end.federation.network import Link, Message
from tests.end_to_end.federation.world import CLIENTS, World

Kind = Callable[[World, int], None]


def _messages(fate: Callable[[Link, Message, random.Random], list[Message]]) -> Kind:
    """Make mischief of what becomes of the next messages, up to eight."""

    def mischief(world: World, which: int) -> None:
        last, rng = world.passed + 1 + which % 8, random.Random(which)  # noqa: S311 -- no secret

        def until_then(link: Link, message: Message) -> list[Message]:
            return fate(link, message, rng) if world.passed <= last else [message]

        world.fate = until_then

    return mischief


def _is_chunk(payload: bytes) -> bool:
    return payload.startswith(b"CHRS")


def _drop(link: Link, message: Message, rng: random.Random) -> list[Message]:
    """Lose chunks, which are sent with QoS 0; the broker keeps the others for who is connected."""
    del link, rng
    return [] if _is_chunk(message[1]) else [message]


def _double(link: Link, message: Message, rng: random.Random) -> list[Message]:
    del link, rng
    return [message, message]


def _postpone(link: Link, message: Message, rng: random.Random) -> list[Message]:
    """Let others overtake; but for chunks, MQTT keeps what is of one topic in order."""
    last = len(link.waiting)
    if not _is_chunk(message[1]):
        same = (place for place, other in enumerate(link.waiting) if other[0] == message[0])
        last = next(same, last)
    if not last:
        return [message]
    link.waiting.insert(rng.randint(1, last), message)
    return []


def _repeat_later(link: Link, message: Message, rng: random.Random) -> list[Message]:
    """Repeat what is not a state that a newer one replaces."""
    if not message[0].endswith(("/round", "/presence")):
        link.waiting.insert(rng.randint(0, len(link.waiting)), message)
    return [message]


def _damage(link: Link, message: Message, rng: random.Random) -> list[Message]:
    """Change a byte of a chunk on its way; TCP and TLS keep the others whole."""
    del link
    topic, payload = message
    if not _is_chunk(payload):
        return [message]
    content = bytearray(payload)
    content[rng.randrange(len(content))] ^= rng.randint(1, 255)
    return [(topic, bytes(content))]


def _forge(link: Link, message: Message, rng: random.Random) -> list[Message]:
    """Change a chunk and its checksum: only the digest of the whole can tell."""
    del link
    topic, payload = message
    if not _is_chunk(payload):
        return [message]
    chunk = Chunk.decode(payload)
    content = bytearray(chunk.payload)
    content[rng.randrange(len(content))] ^= rng.randint(1, 255)
    forged = Chunk(chunk.digest, chunk.offset, bytes(content), chunk.sequence)
    return [(topic, forged.encode())]


def _cut(world: World, which: int) -> None:
    if world.network.links:
        world.network.cut(world.network.links[which % len(world.network.links)])


def _restart(world: World, which: int) -> None:
    world.network.restart(keep=which % 2 == 0)


def _kill_server(world: World, which: int) -> None:
    del which
    world.kill_server()


def _kill_client(world: World, which: int) -> None:
    world.kill_client(which % CLIENTS)


def _wait(world: World, which: int) -> None:
    """Let time pass though something could be done: everything is slow."""
    del which
    world.stage.wait()


KINDS: Final[dict[str, Kind]] = {
    "drop": _messages(_drop),
    "double": _messages(_double),
    "postpone": _messages(_postpone),
    "repeat later": _messages(_repeat_later),
    "damage": _messages(_damage),
    "forge": _messages(_forge),
    "cut": _cut,
    "restart the broker": _restart,
    "kill the aggregator": _kill_server,
    "kill a client": _kill_client,
    "wait": _wait,
}


@dataclass(frozen=True)
class Mischief:
    """What happens after some steps.

    Attributes
    ----------
    steps
        Steps that go well before.
    kind
        What happens.
    which
        To whom, or how.
    """

    steps: int
    kind: str
    which: int

    def happen(self, world: World) -> None:
        for turn in range(self.steps):
            if world.ended:
                return
            world.step(self.which + turn)
        if not world.ended:
            KINDS[self.kind](world, self.which)
            if self.which % 3:
                world.start()


def mischiefs(*kinds: str, most: int = 8) -> st.SearchStrategy[list[Mischief]]:
    """Draw what happens: of these kinds, or of all."""
    each = st.builds(
        Mischief,
        steps=st.integers(0, 60),
        kind=st.sampled_from(kinds or tuple(KINDS)),
        which=st.integers(0, 1000),
    )
    return st.lists(each, min_size=1, max_size=most)
