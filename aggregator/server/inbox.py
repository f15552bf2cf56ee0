"""Updates on their way in: which chunks are awaited, what is safe, what is complete.

Everything here runs in the service's loop but for :meth:`Inbox.chunk`, which runs in the network's
thread, :meth:`Upload.flush`, which runs in the disk thread, and :func:`check_upload`, which runs in
the arithmetic thread.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from shared.architectures import Architecture
from shared.codecs import make_codec
from shared.errors import WeightsError
from shared.protocol.frames import Chunk
from shared.protocol.messages import MOST_RANGES, Accepted, Offer, Received, Refused
from shared.protocol.part_file import PartFile, record_of
from shared.update_file import UpdateFile

WINDOWS: Final = 32 << 20
"""Bytes that all clients together may have under way: what the broker and this process hold."""

CHUNKS: Final = 512
"""The same in chunks: half of the messages that Mosquitto, as it is by default, keeps for one
client before it drops some."""

MOST_ACTIVE: Final = 16
"""Uploads that may be under way at a time; further ones wait for their turn."""

MOST_REPLACED: Final = 16
"""Updates that a client may have in a round one after the other: each costs files and waiting for
the disk, which would go off from others."""

MOST_AWAY: Final = 64
"""Uploads whose files stay open while their clients are away."""

SOON: Final = 0.1
"""Seconds within which less than half a window is made durable, and acknowledged."""

SILENCE: Final = 30.0
"""Seconds without a chunk after which an upload gives way to those that wait."""


@dataclass(slots=True)
class Upload:
    """One update that is being received.

    Attributes
    ----------
    client, offer
        Whose it is, and what it is to be.
    part
        What has arrived.
    heard
        When something of it arrived last, in seconds of the service's clock.
    told
        Bytes that the ledger was told of.
    fresh
        Bytes that have arrived and that nobody is about to make durable.
    flushing
        Whether what has arrived is being made durable.
    checking
        Whether it is complete and being checked.
    """

    client: str
    offer: Offer
    part: PartFile
    heard: float
    told: int = 0
    fresh: int = 0
    flushing: bool = False
    checking: bool = False

    def flush(self) -> None:
        """Make what has arrived durable."""
        self.part.flush()


class Inbox:
    """The updates that clients have offered and that have not been decided on.

    Parameters
    ----------
    folder
        Where uploads are kept until they are complete.
    chunk
        Bytes of a chunk.
    in_disk_thread
        Does something after all that was given to the disk thread before: files are let go of
        there, so that none is closed while it is written.
    """

    def __init__(
        self, folder: Path, chunk: int, in_disk_thread: Callable[[Callable[[], None]], object]
    ) -> None:
        self._folder = folder
        # A place's share, so that those who come later need nothing of what others were given.
        self._window = min(WINDOWS, CHUNKS * chunk) // MOST_ACTIVE
        self._batch = self._window // 2
        self._in_disk_thread = in_disk_thread
        self._active: dict[str, Upload] = {}
        self._away: OrderedDict[str, Upload] = OrderedDict()
        self._waiting: OrderedDict[str, Offer] = OrderedDict()
        self._replaced: Counter[str] = Counter()

    def tires(self, client: str, update: str) -> bool:
        """Say whether a client has offered too many different updates, and this is one more."""
        upload = self._active.get(client)
        known = upload is not None and upload.offer.update == update
        return not known and self._replaced[client] >= MOST_REPLACED

    def offer(self, client: str, offer: Offer, now: float) -> Received:
        """Take a welcome offer; say what is there already and how much may come.

        A client's earlier offer of another update is forgotten, with what had arrived of it. What
        an earlier process received of this one is taken up.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        upload = self._active.get(client)
        if upload is not None and upload.offer.update != offer.update:
            self.drop(client)
            self._replaced[client] += 1
            upload = None
        if upload is None:
            self._waiting[client] = offer
            self._admit(now)
            upload = self._active.get(client)
        if upload is None:
            return Received(update=offer.update, ranges=[], window=0)
        upload.heard = now
        return self.received(upload)

    def chunk(self, client: str, chunk: Chunk, now: float) -> float | None:
        """Take a chunk, in the network's thread; one that is not awaited is left aside.

        Returns
        -------
        float or None
            Seconds within which :meth:`to_flush` is to be called, in the service's loop: 0 if it
            is half a window or the last piece; ``None``: that was said before, or there is nothing
            to flush.

        Raises
        ------
        ProtocolError
            If it lies beyond the update's end.
        StorageError
            If the disk is full.
        """
        upload = self._active.get(client)
        if upload is None or upload.offer.update != chunk.digest or upload.checking:
            return None
        part = upload.part
        part.write(chunk.offset, chunk.payload)
        upload.heard = now
        # After the writing: whoever has set it to 0 before has not missed this chunk.
        before = upload.fresh
        upload.fresh = before + len(chunk.payload)
        if part.arrived or before < self._batch <= upload.fresh:
            return 0.0
        return SOON if before == 0 else None

    def has(self, upload: Upload) -> bool:
        """Say whether an upload is still awaited: it may have been dropped meanwhile."""
        return self._active.get(upload.client) is upload

    def to_flush(self, *, everything: bool) -> list[Upload]:
        """Give, once, the uploads of which half a window has arrived or ``everything``; mark them.

        Each costs a wait for the disk and an answer, so they are not given for less.
        """
        ready = [
            upload
            for upload in self._active.values()
            if upload.fresh and not upload.flushing and (everything or self._is_due(upload))
        ]
        for upload in ready:
            upload.flushing, upload.fresh = True, 0
        return ready

    def _is_due(self, upload: Upload) -> bool:
        return upload.fresh >= self._batch or upload.part.arrived

    def received(self, upload: Upload) -> Received:
        """Say what of an upload is safe, and how far its client may run ahead."""
        ranges = list(upload.part.durable)[:MOST_RANGES]
        return Received(update=upload.offer.update, ranges=ranges, window=self._window)

    def expects(self, client: str, update: str) -> bool:
        """Say whether it is this update that a client has offered last."""
        waiting = self._waiting.get(client)
        upload = self._active.get(client) or self._away.get(client)
        offers = [waiting, upload.offer if upload else None]
        return any(offer is not None and offer.update == update for offer in offers)

    def drop(self, client: str, *, done: bool = False) -> None:
        """Forget a client's update; unless it was ``done``, with what arrived of it."""
        self._waiting.pop(client, None)
        upload = self._active.pop(client, None)
        if upload is None:
            upload = self._away.pop(client, None)
        if upload is not None and not done:
            self._discard(upload)

    def suspend(self, client: str) -> None:
        """Let go of a client's place, and keep what arrived: it may come back."""
        self._waiting.pop(client, None)
        upload = self._active.get(client)
        if upload is not None and not upload.checking:
            self._away[client] = self._active.pop(client)
            if len(self._away) > MOST_AWAY:
                _, oldest = self._away.popitem(last=False)
                self._in_disk_thread(oldest.part.close)

    def admit(self, now: float) -> list[Upload]:
        """Let those in whose turn it is; give them, to be told."""
        if self._waiting and len(self._active) >= MOST_ACTIVE:
            for upload in list(self._active.values()):
                if now - upload.heard > SILENCE and not upload.checking:
                    self.suspend(upload.client)
                    self._waiting[upload.client] = upload.offer
        return self._admit(now)

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for a place."""
        return bool(self._waiting)

    def clear(self) -> None:
        """Forget everything: the round is over."""
        self._replaced.clear()
        for client in [*self._active, *self._away, *self._waiting]:
            upload = self._active.get(client)
            if upload is None or not upload.checking:
                self.drop(client)
        kept = {upload.part.path for upload in self._active.values()}
        kept |= {record_of(path) for path in kept}
        if self._folder.exists():
            # What earlier rounds, or an earlier process, have left. Named now: by the time the
            # disk thread comes to it, there may be new ones.
            left = [path for path in self._folder.iterdir() if path not in kept]
            self._in_disk_thread(partial(_remove, left))

    def close(self) -> None:
        """Let go of all files; what arrived stays on the disk."""
        for upload in (*self._active.values(), *self._away.values()):
            upload.part.close()

    def _admit(self, now: float) -> list[Upload]:
        admitted = []
        while self._waiting and len(self._active) < MOST_ACTIVE:
            client, offer = self._waiting.popitem(last=False)
            upload = self._away.pop(client, None)
            if upload is None or upload.offer.update != offer.update:
                if upload is not None:
                    self._discard(upload)
                self._folder.mkdir(parents=True, exist_ok=True)
                path = self._folder / f"{client}-{offer.update}.part"
                part = PartFile(path, offer.size, offer.update)
                upload = Upload(client, offer, part, now, told=part.durable.total)
            upload.heard = now
            self._active[client] = upload
            if upload.part.complete:
                upload.fresh = upload.part.size  # so that it is looked at
            admitted.append(upload)
        return admitted

    def _discard(self, upload: Upload) -> None:
        """Delete what arrived; its name is free at once, as the client may offer it again."""
        _remove([upload.part.path, record_of(upload.part.path)])
        if not upload.checking:  # else who checks it closes it
            self._in_disk_thread(upload.part.close)


def check_upload(
    upload: Upload, architecture: Architecture, *, control: bool, largest_norm: float
) -> float | Refused:
    """Check a complete update, completely: digest, layout, every value.

    Returns
    -------
    float or Refused
        The norm of its difference; or why it does not count.
    """
    offer = upload.offer
    if not upload.part.matches():
        sentence = "What arrived is not what was offered: its SHA-256 is another."
        return Refused(update=offer.update, reason="damaged", sentence=sentence)
    try:
        codec = make_codec(offer.codec)
        file = UpdateFile(upload.part.path, codec, architecture, control=control)
        return file.check(largest_norm)
    except WeightsError as error:
        sentence = f"{error.problem} {error.remedy}".strip()[:500]
        return Refused(update=offer.update, reason="invalid", sentence=sentence)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def accepted(offer: Offer) -> Accepted:
    """Say that an update counts."""
    return Accepted(update=offer.update)
