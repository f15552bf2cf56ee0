"""The client's side of transfers: which bytes to ask for, which to send, and when to do it again.

Time is passed in, in seconds of a clock that only goes forward.
"""

from typing import Final

from shared.errors import BrokerError, ProtocolError
from shared.protocol.frames import OVERHEAD, Chunk
from shared.protocol.messages import Received, Want
from shared.protocol.part_file import PartFile
from shared.protocol.ranges import Ranges

DOWN_WINDOW: Final = 4 << 20
"""Bytes asked for ahead of what has arrived: what the broker holds for a client at most, about."""

DOWN_CHUNKS: Final = 250
"""The same in chunks, where these are small: a quarter of what Mosquitto holds by default. It also
bounds a request: each of its ranges begins another chunk, and a message has 256 of them at most."""

SAVE_EVERY: Final = 10.0
"""Seconds after which what has arrived is made durable; as much may be sent again after a power
cut. A model that comes faster is whole before, and waits for no disk: it can be had again."""

FRUITLESS: Final = 3
"""Times that something is asked for, or sent, and nothing comes of it until it is said."""

PATIENCE: Final = 5.0
"""Seconds without anything arriving after which it is asked for again."""


def stalled(what: str, chunk: int) -> BrokerError:
    """Make the error of a transfer that goes nowhere.

    Parameters
    ----------
    what
        What is done in vain, a sentence's beginning.
    chunk
        Bytes of a chunk.
    """
    return BrokerError(
        f"{what} {FRUITLESS} times, and nothing comes of it.",
        "Look whether `aggregator serve` runs. If it does, the broker may not pass on messages of "
        f"{chunk + OVERHEAD} bytes: raise its limit (Mosquitto's message_size_limit), or give the "
        "aggregator a smaller --chunk. Or its access rules do not let this device write to its own "
        "topics (deploy/mosquitto/acl): a broker does not say so.",
    )


class Download:
    """A file that is being fetched.

    Parameters
    ----------
    part
        Where it goes.
    chunk
        Bytes of the chunks it comes in. An earlier process may have had others: of what it left,
        whole chunks of this size count, and the rest is asked for again.
    now
        The time.

    Attributes
    ----------
    part, chunk
        As given.
    fruitless
        Times that it was asked for since something arrived.
    """

    def __init__(self, part: PartFile, chunk: int, now: float) -> None:
        self.part = part
        self.chunk = chunk
        self.fruitless = 0
        self._window = min(DOWN_WINDOW, DOWN_CHUNKS * chunk)
        self._asked = self._here()
        self._seen = 0
        self._saved = now
        self._heard = now

    @property
    def complete(self) -> bool:
        """Whether every byte has arrived (if not all is durable yet)."""
        return self.part.arrived

    @property
    def again_at(self) -> float:
        """When to call :meth:`want` even if nothing arrives."""
        return self._heard + PATIENCE

    def want(self, now: float) -> Want | None:
        """Say what to ask for now; ``None`` if enough is on its way."""
        if now >= self.again_at:
            self.fruitless += 1
            self.restart(now)
        under_way = self._asked.total - self._here().total
        if under_way > self._window // 2:
            return None
        room, ranges = self._window - under_way, []
        for begin, gap_end in self._asked.missing(self.part.size):
            end = min(gap_end, begin + room)
            ranges.append((begin, end))
            room -= end - begin
            if room <= 0:
                break
        for begin, end in ranges:
            self._asked.add(begin, end)
        return Want(file=self.part.digest, ranges=ranges, seen=self._seen) if ranges else None

    def restart(self, now: float) -> None:
        """Ask anew for all that is missing: the connection was lost, or chunks were."""
        self._asked = self._here()
        self._seen = 0
        self._heard = now

    def _here(self) -> Ranges:
        """Give the whole chunks that have arrived."""
        return Ranges(self.part.written.whole(self.chunk, self.part.size))

    def take(self, chunk: Chunk, now: float) -> None:
        """Take a chunk, asked for by this client or another.

        Raises
        ------
        ProtocolError
            If it is no whole one: pieces of a byte would cost a range each.
        StorageError
            If the disk is full.
        """
        if not chunk.is_whole(self.chunk, self.part.size):
            raise ProtocolError(f"A piece of the model is no whole chunk of {self.chunk} bytes.")
        self.part.write(chunk.offset, chunk.payload)
        self._asked.add(chunk.offset, chunk.end)
        self._seen = max(self._seen, chunk.sequence)
        self._heard = now
        self.fruitless = 0

    def to_save(self, now: float) -> bool:
        """Say, once, that it is time to make what has arrived durable."""
        due = now - self._saved >= SAVE_EVERY
        if due:
            self._saved = now
        return due


class UpdateTransfer:
    """An update that is being sent.

    Parameters
    ----------
    size
        Its bytes.
    chunk
        Bytes of a chunk.
    now
        The time.

    Attributes
    ----------
    chunk
        As given.
    fruitless
        Times that chunks were sent since something of them has become safe.
    """

    def __init__(self, size: int, chunk: int, now: float) -> None:
        self.chunk = chunk
        self._size = size
        self._safe = Ranges()
        self._sent = Ranges()
        self._window = 0
        self._reached = 0
        self.fruitless = 0
        self._heard = now

    @property
    def again_at(self) -> float:
        """When to offer the update again if nothing is heard, and nothing goes out."""
        return self._heard + 2 * PATIENCE

    def told(self, received: Received, now: float) -> bool:
        """Learn what is safe at the aggregator, and how far to run ahead.

        Returns
        -------
        bool
            Whether it is more than was ever told: it gets on.
        """
        for begin, end in received.ranges:
            self._safe.add(begin, end)
            self._sent.add(begin, end)
        self._window = received.window
        self._heard = now
        before, self._reached = self._reached, max(self._reached, self._safe.total)
        if self._reached > before:
            self.fruitless = 0
        return self._reached > before

    def hear_nothing(self, now: float) -> None:
        """Learn that nothing was heard for a while: count nothing as sent."""
        self.fruitless += self._sent.total > self._safe.total
        self.restart(now)

    def goes_on(self, now: float) -> None:
        """Learn that it still goes out, slowly: nobody can have answered yet."""
        self._heard = now

    def restart(self, now: float) -> None:
        """Count nothing as sent: the connection was lost, or chunks were, or all that had arrived.

        What is safe the aggregator tells anew, with its next answer.
        """
        self._safe = Ranges()
        self._sent = Ranges()
        self._window = 0
        self._heard = now

    def due(self) -> tuple[int, int] | None:
        """Give a range to send now, one chunk, which then counts as sent; ``None``: none."""
        room = self._window - (self._sent.total - self._safe.total)
        gap = next(self._sent.missing(self._size), None)
        if gap is None or room <= 0:
            return None
        begin, end = gap[0], min(gap[1], gap[0] + self.chunk)
        self._sent.add(begin, end)
        return begin, end
