"""Models on their way to the device: asked for, received, checked, put in their place."""

import hashlib
import logging
import threading
from collections.abc import Callable
from functools import partial

from edge_client.federation.client_state import ClientState
from edge_client.federation.transfers import Download
from shared.architectures import architecture_of
from shared.connection import Connection
from shared.errors import ProtocolError
from shared.protocol.frames import Chunk
from shared.protocol.messages import Announcement, File, Want
from shared.protocol.part_file import PartFile
from shared.protocol.topics import Topics
from shared.tensor_file import HEADER_LIMIT

log = logging.getLogger(__name__)


class Fetching:
    """Fetches one file at a time.

    Chunks are taken in the network's thread: to hand each over to the participant's loop would
    cost more than to write it. All other methods are the loop's.

    Parameters
    ----------
    memory
        Where files go.
    connection, topics
        Where they come from.
    ended
        Told that a file is in its place, or (``False``) that what arrived was damaged.
    later
        Does something in the participant's loop; called from the network's thread.
    clock
        A clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        memory: ClientState,
        connection: Connection,
        topics: Topics,
        *,
        ended: Callable[[bool], None],
        later: Callable[[Callable[[], None]], None],
        clock: Callable[[], float],
    ) -> None:
        self._memory = memory
        self._connection = connection
        self._topics = topics
        self._ended = ended
        self._later = later
        self._clock = clock
        self._lock = threading.RLock()  # held while the download is changed, by either thread
        self._download: Download | None = None
        self._whole: set[str] = set()

    @property
    def digest(self) -> str | None:
        """What is being fetched."""
        download = self._download
        return download.part.digest if download else None

    @property
    def again_at(self) -> float | None:
        """When to call :meth:`ask` even if nothing arrives."""
        download = self._download
        return download.again_at if download and not download.complete else None

    def has(self, file: File) -> bool:
        """Say whether a file is there, and whole.

        Files wait for no disk when they come, so one that an earlier process left is read once: a
        power cut may have damaged it.
        """
        path = self._memory.path(file.digest)
        if not path.exists():
            return False
        if file.digest not in self._whole:
            with path.open("rb") as left:
                found = hashlib.file_digest(left, "sha256").hexdigest()
            if found != file.digest:
                path.unlink()
                return False
            self._whole.add(file.digest)
        return True

    def begin(self, file: File, chunk: int) -> None:
        """Fetch a file in chunks of so many bytes, from where an earlier process stopped.

        Raises
        ------
        StorageError
            If the disk is full; so do the methods that write.
        """
        part = PartFile(self._memory.part(file.digest), file.size, file.digest)
        self._download = download = Download(part, chunk, self._clock())
        if download.complete:
            self._finish(download)
        else:
            self._connection.subscribe(self._topics.model(file.digest), qos=0)
            self.ask()

    def keep_only(self, files: list[File]) -> None:
        """Remove what is not current any more, and give it up if it is being fetched."""
        digests = [file.digest for file in files]
        self._memory.keep_only(*digests)
        self._whole.intersection_update(digests)
        if self.digest not in digests:
            self.drop()

    def ask(self) -> None:
        """Ask for what comes next, if little is on its way."""
        with self._lock:
            if self._download and (want := self._download.want(self._clock())):
                self._request(want)

    def take(self, chunk: Chunk) -> None:
        """Take a piece, asked for by this device or by another, in the network's thread.

        Raises
        ------
        ProtocolError
            If it lies beyond the file's end.
        StorageError
            If the disk is full.
        """
        with self._lock:
            download, now = self._download, self._clock()
            if download is None or chunk.digest != download.part.digest or download.complete:
                return
            download.take(chunk, now)
            if download.complete:
                self._later(partial(self._finish, download))
            else:
                self.ask()
                if download.to_save(now):
                    self._later(partial(self._save, download))

    def restart(self) -> None:
        """Ask anew for all that is missing: the connection was lost."""
        with self._lock:
            if self._download:
                self._download.restart(self._clock())
                self.ask()

    def drop(self) -> None:
        """Give up what is being fetched: nobody needs it any more."""
        with self._lock:
            download, self._download = self._download, None
        if download:
            self._connection.unsubscribe(self._topics.model(download.part.digest))
            download.part.discard()

    def close(self) -> None:
        """Make what has arrived durable, for the next process; the network's thread has ended."""
        if self._download:
            try:
                self._download.part.flush()
            finally:
                self._download.part.close()

    def _save(self, download: Download) -> None:
        """Make what has arrived durable: not in the network's thread, which may not wait."""
        if download is self._download:
            download.part.flush()

    def _finish(self, download: Download) -> None:
        """Check a file that is complete, and put it in its place."""
        with self._lock:
            if download is not self._download:
                return  # it was given up meanwhile
            part, self._download = download.part, None
        self._connection.unsubscribe(self._topics.model(part.digest))
        whole = part.matches()
        if whole:
            part.keep(self._memory.path(part.digest))
            self._whole.add(part.digest)
        else:
            part.discard()
            log.warning("A model arrived damaged; it is fetched again.")
        self._ended(whole)

    def _request(self, want: Want) -> None:
        # If it is not sent now, it is asked again when the connection is back.
        topic = self._topics.requests(self._connection.name)
        self._connection.publish(topic, want.encode(), wait=False)


def check_sizes(announcement: Announcement) -> None:
    """Check that a round's files can be those of its architecture: else they could fill the disk.

    Raises
    ------
    ProtocolError
        If one is larger than any file of such weights.
    """
    parameters = architecture_of(announcement.architecture, announcement.task).parameters
    largest = 8 + HEADER_LIMIT + 4 * parameters
    for file in (announcement.model, announcement.averaged, announcement.control):
        if file is not None and file.size > largest:
            raise ProtocolError(
                f"An announcement names a file of {file.size} bytes; "
                f"a model of {announcement.architecture} has {largest} at most."
            )
