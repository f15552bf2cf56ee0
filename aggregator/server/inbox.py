"""The updates that are on their way in: who has a place, whose turn is next.

Everything here runs in the service's loop but for :meth:`Inbox.chunk` and :meth:`Inbox.is_late`,
which run in the network's thread. What is known of one update is in its
:class:`~aggregator.server.upload.Upload`.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, get_args

from aggregator.server.upload import End, State, Upload
from shared.errors import StorageError
from shared.protocol.fields import MOST_RANGES
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer, Received
from shared.protocol.part_file import record_of

WINDOWS: Final = 32 << 20
"""Bytes that all clients together may have under way: what the broker and this process hold."""

CHUNKS: Final = 512
"""The same in chunks: half of the messages that Mosquitto, as it is by default, keeps for one
client before it drops some."""

MOST_ACTIVE: Final = 16
"""Places: uploads that may be under way at a time; further ones wait for their turn."""

MOST_REPLACED: Final = 16
"""Updates that a client may have in a round one after the other: each costs files and waiting for
the disk, which would go off from others."""

MOST_ASIDE: Final = 64
"""Uploads without a place whose files stay open: their clients are away, or silent."""


class Inbox:
    """The updates that clients have offered and that have not been decided on, one a client.

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
        self._chunk = chunk
        # A place's share, so that those who come later need nothing of what others were given.
        self._window = min(WINDOWS, CHUNKS * chunk) // MOST_ACTIVE
        self._batch = self._window // 2
        self._in_disk_thread = in_disk_thread
        self._uploads: dict[str, Upload] = {}
        # The same uploads, as their states have it, who came first first.
        self._places: OrderedDict[str, Upload] = OrderedDict()
        self._queue: OrderedDict[str, Upload] = OrderedDict()
        self._aside: OrderedDict[str, Upload] = OrderedDict()
        self._replaced: Counter[str] = Counter()
        self._overtaken: Counter[tuple[str, str]] = Counter()
        """Chunks that may still come of the last round's uploads: its end has overtaken them."""

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for a place."""
        return bool(self._queue)

    def find(self, client: str, update: str) -> Upload | None:
        """Give a client's upload if it is of this update."""
        upload = self._uploads.get(client)
        return upload if upload is not None and upload.offer.update == update else None

    def tires(self, client: str, update: str) -> bool:
        """Say whether a client has offered too many different updates, and this is one more."""
        return not self.find(client, update) and self._replaced[client] >= MOST_REPLACED

    def offer(self, client: str, offer: Offer, now: float) -> list[Upload]:
        """Take a welcome offer.

        A client's earlier offer of another update is forgotten, with what had arrived of it: its
        place is another one's, whose turn it is. What an earlier process received of this one is
        taken up.

        Returns
        -------
        list of Upload
            Those to be told what is safe and how much may come: this one, then who was let in.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        waited = self.waiting
        upload = self._uploads.get(client)
        if upload is not None and upload.offer.update != offer.update:
            self._replaced[client] += upload.placed
            self.end(upload, "dropped")
            upload = None
        if upload is None:
            upload = self._uploads[client] = self._queue[client] = Upload(client, offer)
        elif upload.state == "away":
            self._move(upload, "waiting")
        admitted = self.admit(now) if upload.state == "waiting" else []
        if self._queue and not waited:
            for placed in self._places.values():
                placed.begin_turn(now)
        upload.arrived_at = now
        return [upload, *(other for other in admitted if other is not upload)]

    def chunk(self, client: str, chunk: Chunk, now: float) -> float | None:
        """Take a chunk, in the network's thread; see :meth:`Upload.take`."""
        upload = self._uploads.get(client)
        return None if upload is None else upload.take(chunk, now, self._batch)

    def is_late(self, client: str, update: str) -> bool:
        """Say whether a chunk was on its way when the round ended; in the network's thread.

        A client had been told that it may send so many, and each of them is late once.
        """
        late = self._overtaken
        if not late[client, update]:
            return False
        late[client, update] -= 1
        return True

    def to_flush(self, *, everything: bool) -> list[Upload]:
        """Give, once, the uploads of which half a window has arrived or ``everything``; mark them.

        Each costs a wait for the disk and an answer, so they are not given for less.
        """
        batch = 0 if everything else self._batch
        return [upload for upload in self._places.values() if upload.begin_flush(batch)]

    def received(self, upload: Upload) -> Received:
        """Say what of an upload is safe, and how far its client may run ahead."""
        if upload.part is None or not upload.placed:
            return Received(update=upload.offer.update, ranges=[], window=0)
        ranges = list(upload.part.durable)[:MOST_RANGES]
        return Received(update=upload.offer.update, ranges=ranges, window=self._window)

    def suspend(self, client: str) -> None:
        """Let go of a client's place, and keep what arrived: it may come back."""
        upload = self._uploads.get(client)
        if upload is None or upload.state in ("checking", "away"):
            return
        if upload.part is None:
            self.end(upload, "dropped")
        else:
            self._move(upload, "away")

    def drop(self, client: str) -> None:
        """Forget a client's upload, with what arrived of it."""
        if upload := self._uploads.get(client):
            self.end(upload, "dropped")

    def make_room(self, now: float) -> list[Upload]:
        """Send those to the queue's end that bring too little while others wait; give them."""
        slow = []
        if self._queue and len(self._places) >= MOST_ACTIVE:
            slow = [upload for upload in self._places.values() if upload.gives_way(now)]
        for upload in slow:
            self._move(upload, "waiting")
        return slow

    def admit(self, now: float) -> list[Upload]:
        """Let those in whose turn it is; give them, to be told.

        Raises
        ------
        StorageError
            If the disk is full, and nobody was let in.
        """
        admitted: list[Upload] = []
        while self._queue and len(self._places) < MOST_ACTIVE:
            upload = next(iter(self._queue.values()))
            try:
                upload.open(self._folder)
            except StorageError:
                if admitted:
                    break  # those are told first; it is tried again at the next look
                self.end(upload, "dropped")  # its client will offer it again
                raise
            upload.arrived_at = now
            upload.begin_turn(now)
            self._move(upload, "receiving")
            admitted.append(upload)
        return admitted

    def check(self, upload: Upload) -> None:
        """Learn that an upload is being checked: from now on who checks it closes it."""
        self._move(upload, "checking")

    def end(self, upload: Upload, how: End, *, keep: bool = False) -> None:
        """Forget an upload; unless it counts or ``keep``, with what arrived of it."""
        checking = upload.state == "checking"
        self._move(upload, how)
        if upload.part is not None and how != "counted" and not keep:
            # Its name is free at once, as the client may offer it again.
            _remove([upload.part.path, record_of(upload.part.path)])
        if not checking:
            self.let_go(upload)

    def let_go(self, upload: Upload) -> None:
        """Close an upload's files, if they are open."""
        part, upload.part = upload.part, None
        if part is not None:
            self._in_disk_thread(part.close)

    def clear(self) -> None:
        """Forget everything but what is being checked: the round is over."""
        self._replaced.clear()
        self._overtaken = Counter(
            {
                (upload.client, upload.offer.update): self._window // self._chunk
                for upload in self._places.values()
            }
        )
        for upload in list(self._uploads.values()):
            if upload.state != "checking":
                self.end(upload, "dropped")
        kept = {upload.part.path for upload in self._uploads.values() if upload.part}
        kept |= {record_of(path) for path in kept}
        if self._folder.exists():
            # What earlier rounds, or an earlier process, have left. Named now: by the time the
            # disk thread comes to it, there may be new ones.
            left = [path for path in self._folder.iterdir() if path not in kept]
            self._in_disk_thread(partial(_remove, left))

    def close(self) -> None:
        """Let go of all files; what arrived stays on the disk."""
        for upload in self._uploads.values():
            if upload.part:
                upload.part.close()

    def _move(self, upload: Upload, state: State) -> None:
        """Let an upload go on to another state: it takes up a place, gives one up, or is over."""
        client, was_placed = upload.client, upload.placed
        upload.become(state)
        for uploads in (self._queue, self._aside):
            uploads.pop(client, None)
        if was_placed and not upload.placed:
            del self._places[client]
        if upload.placed:
            self._places[client] = upload
        elif state in get_args(End):
            del self._uploads[client]
        else:
            if state == "waiting":
                self._queue[client] = upload
            if upload.part is not None:
                self._aside[client] = upload
        if len(self._aside) > MOST_ASIDE:
            _, oldest = self._aside.popitem(last=False)
            self.let_go(oldest)
            if oldest.state == "away":
                self.end(oldest, "dropped")


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
