"""One update on its way in: everything that is known of it, from its offer to its end.

::

    waiting -> receiving -> arrived -> checking -> counted | refused
       ^           |           |
       +-----------+-----------+   silent or too slow, while others wait for a place
       +-- away <--+-----------+   its client has gone; what arrived stays

What is neither counted nor refused ends as ``dropped``: its client has offered another one, or the
round is over.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from shared.architectures import Architecture
from shared.codecs import make_codec
from shared.codecs.update_file import UpdateFile
from shared.errors import StorageError, WeightsError
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer, Refused
from shared.protocol.part_file import PartFile

State = Literal[
    "waiting", "receiving", "arrived", "checking", "away", "counted", "refused", "dropped"
]
"""Waiting for a place; being received; arrived whole, and being made durable; being checked; left
by a client that has gone; and how it may end."""

End = Literal["counted", "refused", "dropped"]

PLACED: Final[tuple[State, ...]] = ("receiving", "arrived", "checking")
"""The states in which an upload takes up a place."""

_NEXT: Final[Mapping[State, tuple[State, ...]]] = {
    "waiting": ("receiving", "away", "refused", "dropped"),
    "receiving": ("arrived", "checking", "waiting", "away", "refused", "dropped"),
    "arrived": ("checking", "receiving", "waiting", "away", "refused", "dropped"),
    "checking": ("counted", "refused", "dropped"),
    "away": ("waiting", "refused", "dropped"),
}

SILENCE: Final = 30.0
"""Seconds without a chunk after which an upload gives way to those that wait; and what it has to
begin with before its pace is looked at."""

SLOWEST: Final = 8192
"""Bytes a second at which an upload keeps its place while others wait: 64 kbit/s, which a poor
mobile line still reaches. A line that is slower has its turn all the same, and what arrived in it
stays: half as fast it is the first 60 s, 240 KB."""

SOON: Final = 0.1
"""Seconds within which less than half a window is made durable, and acknowledged."""


class Upload:
    """One update that a client has offered, and that was welcome.

    The loop's thread alone changes it, but for :meth:`take` (the network's thread) and
    :meth:`flush` (the disk's).

    Parameters
    ----------
    client, offer
        Whose it is, and what it is to be.

    Attributes
    ----------
    state
        Where it stands; changed by :meth:`become`.
    part
        What has arrived, once there was a place for it; ``None``: its files are not open.
    arrived_at
        When something of it arrived last, in seconds of the service's clock.
    told
        Bytes that the ledger was told of.
    fresh
        Bytes that have arrived and that nobody is about to make durable.
    flushing
        Whether what has arrived is being made durable, while more arrives.
    """

    def __init__(self, client: str, offer: Offer) -> None:
        self.client = client
        self.offer = offer
        self.state: State = "waiting"
        self.part: PartFile | None = None
        self.arrived_at = 0.0
        self.told = 0
        self.fresh = 0
        self.flushing = False
        self._turn_at = 0.0
        self._turn_from = 0

    @property
    def placed(self) -> bool:
        """Whether it takes up a place."""
        return self.state in PLACED

    @property
    def complete(self) -> bool:
        """Whether all of it is durable."""
        return self.part is not None and self.part.complete

    def begin_turn(self, now: float) -> None:
        """Learn that from now on others wait for its place: what it brings is counted."""
        self._turn_at, self._turn_from = now, self._durable

    def gives_way(self, now: float) -> bool:
        """Say whether it has brought too little to keep its place while others wait.

        What came twice brought nothing.
        """
        if self.state not in ("receiving", "arrived"):
            return False
        earned = (self._durable - self._turn_from) / SLOWEST
        return now - self.arrived_at > SILENCE or now - self._turn_at > SILENCE + earned

    @property
    def _durable(self) -> int:
        return 0 if self.part is None else self.part.durable.total

    def become(self, state: State) -> None:
        """Go on to another state.

        Raises
        ------
        ValueError
            If this one is not followed by that.
        """
        if state not in _NEXT.get(self.state, ()):
            raise ValueError(f"an upload that is {self.state} cannot become {state}")
        self.state = state

    def open(self, folder: Path) -> None:
        """Open its files, unless they are; what an earlier process received is taken up.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        if self.part is None:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{self.client}-{self.offer.update}.part"
            self.part = PartFile(path, self.offer.size, self.offer.update)
            self.told = self.part.durable.total
        if self.part.complete:
            self.fresh = self.part.size  # so that it is looked at

    def take(self, chunk: Chunk, now: float, batch: int) -> float | None:
        """Take a chunk, in the network's thread; one that is not awaited is left aside.

        Parameters
        ----------
        chunk
            The chunk.
        now
            The time.
        batch
            Bytes that are made durable together.

        Returns
        -------
        float or None
            Seconds within which it is to be flushed: 0 if a batch or the last piece is there;
            ``None``: that was said before, or there is nothing to flush.

        Raises
        ------
        ProtocolError
            If it lies beyond the update's end.
        StorageError
            If the disk is full.
        """
        part = self.part
        if part is None or self.state != "receiving" or self.offer.update != chunk.digest:
            return None
        part.write(chunk.offset, chunk.payload)
        self.arrived_at = now
        # After the writing: whoever has set it to 0 before has not missed this chunk.
        before = self.fresh
        self.fresh = before + len(chunk.payload)
        if part.arrived or before < batch <= self.fresh:
            return 0.0
        return SOON if before == 0 else None

    def begin_flush(self, batch: int) -> bool:
        """Say, once, whether a batch or the last piece waits to be made durable; mark it."""
        part = self.part
        if part is None or self.flushing or not self.fresh or not self.placed:
            return False
        if self.fresh < batch and not part.arrived:
            return False
        self.flushing, self.fresh = True, 0
        if part.arrived and self.state == "receiving":
            self.become("arrived")
        return True

    def flush(self) -> int:
        """Make what has arrived durable, in the disk's thread; say how many bytes are now."""
        part = self.part
        if part is None:
            return self.told  # it was dropped meanwhile
        part.flush()
        return part.durable.total

    def end_flush(self, *, failed: bool = False) -> None:
        """Learn that :meth:`flush` has ended; what a full disk did not take arrives anew."""
        self.flushing = False
        if failed and self.state == "arrived":
            self.become("receiving")


def damage(part: PartFile) -> Refused | None:
    """Say that what has arrived is not what was offered, if it is not."""
    if part.matches():
        return None
    sentence = "What arrived is not what was offered: its SHA-256 is another."
    return Refused(update=part.digest, reason="damaged", sentence=sentence)


def check_update(
    part: PartFile,
    offer: Offer,
    architecture: Architecture,
    extra: Sequence[str],
    *,
    largest_norm: float,
) -> float | Refused:
    """Check an update that has arrived, completely: digest, layout, every value.

    Returns
    -------
    float or Refused
        The norm of its difference; or why it does not count.

    Raises
    ------
    StorageError
        If the disk does not let it be read: it may be right.
    """
    if damaged := damage(part):
        return damaged
    try:
        # A device is not told where the aggregator keeps what it has sent.
        file = UpdateFile(
            part.path,
            make_codec(offer.codec),
            architecture,
            extra,
            called="the update",
        )
        return file.check(largest_norm)
    except WeightsError as error:
        if isinstance(disk := error.__cause__, OSError):
            raise StorageError(
                f"Cannot read {part.path}: {disk.strerror or disk}.", "Look at the disk."
            ) from error
        sentence = error.message[:500]
        sentence = sentence[0].upper() + sentence[1:]
        return Refused(update=offer.update, reason="invalid", sentence=sentence)
