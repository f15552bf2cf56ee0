"""Models on their way out: each chunk is published once for all who want it at the time.

Clients ask for ranges of a file (:class:`shared.protocol.messages.Want`) and say which sequence
number they have seen. A chunk that was published after it is on its way to them already, because
all read the same topic; so eight clients in step cost the aggregator what one does. A client that
has missed something asks with 0, and gets all it asks for: within its share, as tiny requests
could otherwise make the aggregator send without end.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aggregator.server.shares import Shares
from shared.loop import Worker
from shared.protocol.fields import LAST_SEQUENCE
from shared.protocol.frames import Chunk
from shared.protocol.messages import Want

log = logging.getLogger(__name__)

MOST_ASKED: Final = 8 << 20
"""Bytes that one request is answered with; the client asks again for more."""

TIMES: Final = 3
"""How often a client may have all files within one round, at any pace."""

PER_SECOND: Final = 1 << 20
"""Bytes a second that a client may have beyond that. On a line that breaks every few seconds, what
it asked for ahead is lost each time: 4 MiB, as often as it asks again when nothing arrives."""


@dataclass(slots=True)
class _Served:
    """A file that can be asked for."""

    path: Path
    size: int
    sent: dict[int, int] = field(default_factory=dict)
    """The sequence number each chunk was last published with, by its place."""
    pending: set[int] = field(default_factory=set)
    """Places of the chunks that wait to be published; so there are never more than chunks."""


class Distribution:
    """Publishes chunks of files, in a worker: it waits for the network.

    Parameters
    ----------
    publish
        Publishes a chunk; returns false if it was not sent. May wait for room.
    chunk
        Bytes of a chunk.
    worker
        Where it is done.
    clock
        A clock that only goes forward, in seconds.
    greedy
        Told of a client that has used up its share.
    """

    def __init__(
        self,
        publish: Callable[[Chunk], bool],
        chunk: int,
        worker: Worker,
        *,
        clock: Callable[[], float],
        greedy: Callable[[str], object],
    ) -> None:
        self._publish = publish
        self._chunk = chunk
        self._worker = worker
        self._clock = clock
        self._greedy = greedy
        self._shares = self._whole_shares(0)
        self._opened = _OneOpened()
        self._lock = threading.Lock()  # held while what follows is changed, by either thread
        self._files: dict[str, _Served] = {}
        self._jobs: deque[tuple[str, int]] = deque()
        self._sequence = 0

    def serve(self, files: dict[str, Path]) -> None:
        """Say which files can be asked for from now on, by digest; others are dropped.

        Each client has its whole share again.
        """
        with self._lock:
            self._files = {
                digest: self._files.get(digest) or _Served(path, path.stat().st_size)
                for digest, path in files.items()
            }
            self._shares = self._whole_shares(sum(file.size for file in self._files.values()))

    def want(self, client: str, want: Want) -> int | None:
        """Take a client's request.

        Returns
        -------
        int or None
            Bytes that will be published because of it; ``None`` if there is no such file.
        """
        with self._lock:
            served = self._files.get(want.file)
            if served is None:
                return None
            asked, fresh = 0, 0
            for begin, end in want.ranges:
                for place in range(begin // self._chunk, -(-min(end, served.size) // self._chunk)):
                    if asked >= MOST_ASKED:
                        break
                    asked += self._chunk
                    on_its_way = want.seen and served.sent.get(place, 0) > want.seen
                    if on_its_way or place in served.pending:
                        continue
                    size = min(self._chunk, served.size - place * self._chunk)
                    if not self._shares.take(client, size):
                        self._greedy(client)
                        return fresh
                    served.pending.add(place)
                    self._jobs.append((want.file, place))
                    self._worker.submit(self._publish_next)
                    fresh += size
            return fresh

    def forget(self) -> None:
        """Drop what was asked for: the connection was lost, and clients will ask again."""
        with self._lock:
            self._jobs.clear()
            for served in self._files.values():
                served.sent.clear()
                served.pending.clear()

    def close(self) -> None:
        """Let go of the file that was read last, after the worker has ended."""
        self._opened.close()

    def _whole_shares(self, size: int) -> Shares:
        """Give everybody a share of files of so many bytes."""
        return Shares(max(TIMES * size, 2 * MOST_ASKED), PER_SECOND, self._clock)

    def _publish_next(self) -> None:
        """Publish the chunk that has waited longest; called once for each that was asked for."""
        job = self._next_job()
        if job is None:
            return
        served, digest, place, sequence = job
        offset = place * self._chunk
        try:
            payload = os.pread(self._opened.descriptor(served.path), self._chunk, offset)
        except OSError as error:
            # It may be removed while somebody still asks for it: others are asked for, too.
            log.warning("The model %s cannot be read: %s.", served.path, error.strerror)
            return
        if payload:
            self._publish(Chunk(digest, offset, payload, sequence))

    def _next_job(self) -> tuple[_Served, str, int, int] | None:
        """Take a chunk to publish; ``None`` if those that waited were dropped meanwhile."""
        with self._lock:
            while self._jobs:
                digest, place = self._jobs.popleft()
                if served := self._files.get(digest):
                    served.pending.discard(place)
                    if self._sequence == LAST_SEQUENCE:
                        # It begins anew: what was published before counts as not on its way.
                        self._sequence = 0
                        for each in self._files.values():
                            each.sent.clear()
                    self._sequence += 1
                    served.sent[place] = self._sequence
                    return served, digest, place, self._sequence
            return None


class _OneOpened:
    """Keeps the file open that was read last: its chunks are asked for one after the other."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._descriptor = -1

    def descriptor(self, path: Path) -> int:
        """Open a file for reading, unless it is open."""
        if path != self._path:
            self.close()
            self._descriptor, self._path = os.open(path, os.O_RDONLY), path
        return self._descriptor

    def close(self) -> None:
        if self._path is not None:
            os.close(self._descriptor)
            self._path = None
