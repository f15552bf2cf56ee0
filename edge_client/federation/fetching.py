"""Models on their way to the device: asked for, received, checked, put in their place."""

import hashlib
import logging
from collections.abc import Callable

from edge_client.federation.memory import Memory
from edge_client.federation.transfers import Download
from shared.architectures import ARCHITECTURES
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

    Parameters
    ----------
    memory
        Where files go.
    connection, topics
        Where they come from.
    ended
        Told that a file is in its place, or (``False``) that what arrived was damaged.
    clock
        A clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        memory: Memory,
        connection: Connection,
        topics: Topics,
        *,
        ended: Callable[[bool], None],
        clock: Callable[[], float],
    ) -> None:
        self._memory = memory
        self._connection = connection
        self._topics = topics
        self._ended = ended
        self._clock = clock
        self._download: Download | None = None
        self._whole: set[str] = set()

    @property
    def digest(self) -> str | None:
        """What is being fetched."""
        return self._download.part.digest if self._download else None

    @property
    def again_at(self) -> float | None:
        """When to call :meth:`ask` even if nothing arrives."""
        return self._download.again_at if self._download else None

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
        self._download = Download(part, chunk, self._clock())
        if self._download.complete:
            self._finish(self._download)
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
        if self._download and (want := self._download.want(self._clock())):
            self._request(want)

    def take(self, chunk: Chunk) -> None:
        """Take a piece, asked for by this device or by another.

        Raises
        ------
        ProtocolError
            If it lies beyond the file's end.
        """
        if self._download and chunk.digest == self._download.part.digest:
            self._download.take(chunk, self._clock())
            if self._download.complete:
                self._finish(self._download)
            else:
                self.ask()

    def restart(self) -> None:
        """Ask anew for all that is missing: the connection was lost."""
        if self._download:
            self._download.restart(self._clock())
            self.ask()

    def drop(self) -> None:
        """Give up what is being fetched: nobody needs it any more."""
        if self._download:
            self._connection.unsubscribe(self._topics.model(self._download.part.digest))
            self._download.part.discard()
            self._download = None

    def close(self) -> None:
        """Make what has arrived durable, for the next process."""
        if self._download:
            try:
                self._download.part.flush()
            finally:
                self._download.part.close()

    def _finish(self, download: Download) -> None:
        """Check a file that is complete, and put it in its place."""
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
    parameters = ARCHITECTURES[announcement.architecture].parameters
    largest = 8 + HEADER_LIMIT + 4 * parameters
    for file in (announcement.model, announcement.averaged, announcement.control):
        if file is not None and file.size > largest:
            raise ProtocolError(
                f"An announcement names a file of {file.size} bytes; "
                f"a model of {announcement.architecture} has {largest} at most."
            )
