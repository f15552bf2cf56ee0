"""What becomes of chunks, and of words, on their way through a proxy, packet by packet."""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from shared.protocol.frames import OVERHEAD
from tests.proxy import Fate, topic_of

CHUNK = 1 << 16
"""Bytes of a chunk, if the aggregator was told nothing else."""

Kind = Callable[[bytes, Iterator[bytes], random.Random], Iterable[bytes]]
"""What becomes of a chunk, and of those after it if it takes them."""


def is_chunk(packet: bytes) -> bool:
    """Say whether a packet brings a piece of a model or of an update."""
    topic = topic_of(packet)
    return topic.endswith("/chunks") or "/models/" in topic


def _dropped(packet: bytes, after: Iterator[bytes], rng: random.Random) -> Iterable[bytes]:
    del packet, after, rng
    return ()


def _doubled(packet: bytes, after: Iterator[bytes], rng: random.Random) -> Iterable[bytes]:
    del after, rng
    return packet, packet


def _reordered(packet: bytes, after: Iterator[bytes], rng: random.Random) -> Iterable[bytes]:
    """Let some others overtake."""
    yield from islice(after, rng.randint(1, 3))
    yield packet


def _damaged(packet: bytes, after: Iterator[bytes], rng: random.Random) -> Iterable[bytes]:
    """Change a byte of the frame: that of MQTT around it TCP and TLS keep whole."""
    del after
    content = bytearray(packet)
    content[-rng.randint(1, CHUNK + OVERHEAD)] ^= rng.randint(1, 255)
    return (bytes(content),)


KINDS: dict[str, Kind] = {
    "dropped": _dropped,
    "doubled": _doubled,
    "reordered": _reordered,
    "damaged": _damaged,
}


class Mischief:
    """Does something to one of eight chunks, of the first hundred that come.

    So it is over after a model or an update, which has some more: who asks again gets them.

    Parameters
    ----------
    kind
        What it does.
    seed
        Draws to which.

    Attributes
    ----------
    done
        To how many it did so.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.done = 0
        self._do = KINDS[kind]
        self._rng = random.Random(seed)  # noqa: S311 -- no secret
        self._left = 100

    def __call__(self, packets: Iterator[bytes]) -> Iterator[bytes]:
        for packet in packets:
            if is_chunk(packet) and self._left:
                self._left -= 1
                if self._rng.random() < 1 / 8:
                    self.done += 1
                    yield from self._do(packet, packets, self._rng)
                    continue
            yield packet


def first(count: int) -> Fate:
    """Let so many chunks through, and no more of them."""

    def fate(packets: Iterator[bytes]) -> Iterator[bytes]:
        left = count
        for packet in packets:
            left -= is_chunk(packet)
            if left >= 0 or not is_chunk(packet):
                yield packet

    return fate


def without(words: bytes) -> Fate:
    """Lose what says this."""
    return lambda packets: (packet for packet in packets if words not in packet)
