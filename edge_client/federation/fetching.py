"""Models on their way to the device: asked for, received, checked, put in their place."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from edge_client.federation.client_state import ClientState
from edge_client.federation.shortcut import Shortcut
from edge_client.federation.transfers import FRUITLESS, Download, stalled
from shared.errors import ChorusError, StorageError
from shared.loop import Loop, Worker
from shared.mqtt.connection import Connection
from shared.protocol.frames import Chunk
from shared.protocol.messages import File, Want
from shared.protocol.part_file import PartFile, record_of
from shared.protocol.topics import Topics
from shared.storage.files import sha256_of, storage_errors

log = logging.getLogger(__name__)


class Fetching:
    """Sees to it that the files of a round are there; fetches one at a time.

    Chunks are taken in the network's thread: to hand each over to the participant's loop would
    cost more than to write it. All other methods are the loop's. Files are read, to check them, in
    a worker.

    Parameters
    ----------
    client_state
        Where files go.
    connection, topics
        Where they come from.
    loop
        What it stands on.
    worker
        Reads files.
    in_vain
        Told, once a file, that nothing arrives.
    ended
        Told that :meth:`gather` may get on; ``False``: not at once, what arrived was damaged.
    """

    def __init__(
        self,
        client_state: ClientState,
        connection: Connection,
        topics: Topics,
        *,
        loop: Loop,
        worker: Worker,
        ended: Callable[[bool], None],
        in_vain: Callable[[ChorusError], None],
    ) -> None:
        self._client_state = client_state
        self._connection = connection
        self._topics = topics
        self._loop = loop
        self._clock = loop.clock
        self._worker = worker
        self._ended = ended
        self._in_vain = in_vain
        self._lock = threading.RLock()  # held while the download is changed, by either thread
        self._download: Download | None = None
        self._left: str | None = None
        """What an earlier process left, and the worker reads."""
        self._whole: set[str] = set()
        self._useless: set[str] = set()
        """Differences that did not lead to their models."""
        self._making = False
        loop.watch(lambda: self._again_at, self._ask_again)

    @property
    def digest(self) -> str | None:
        """What is being fetched."""
        download = self._download
        return download.part.digest if download else None

    @property
    def _again_at(self) -> float | None:
        """When to ask again even if nothing arrives."""
        download = self._download
        missing = download and not download.complete and self._connection.connected
        return download.again_at if download and missing else None

    def has(self, file: File) -> bool:
        """Say whether a file is there, and known to be whole."""
        return file.digest in self._whole and self._client_state.path(file.digest).exists()

    def gather(self, files: list[File], chunk: int, shortcut: Shortcut | None = None) -> bool:
        """Say whether all files are there; else get on with the first that is not.

        All others are removed. Files wait for no disk when they come, so one that an earlier
        process left is read once: a power cut may have damaged it.

        Parameters
        ----------
        files
            What is needed.
        chunk
            Bytes of the chunks they come in.
        shortcut
            What leads to one of them; it is fetched whole if this leads nowhere.

        Raises
        ------
        StorageError
            If the disk is full; so do the methods that write.
        """
        if self._making:
            return False  # what it is made of may not be removed now
        way = shortcut if shortcut and self._leads_on(shortcut, files) else None
        self._keep_only([*files, *([way.file] if way else [])], way.base if way else None)
        self._go_on_with(chunk)
        missing = [file for file in files if not self.has(file)]
        if missing and self._download is None and self._left is None:
            wanted = way.file if way and missing[0] == way.model else missing[0]
            if way and wanted == way.file and self.has(wanted):
                self._make(way)
            elif self._client_state.path(wanted.digest).exists():
                self._look_at(wanted.digest)
            else:
                self.begin(wanted, chunk)
        return not missing

    def begin(self, file: File, chunk: int) -> None:
        """Fetch a file in chunks of so many bytes, from where an earlier process stopped."""
        part = PartFile(self._client_state.part(file.digest), file.size, file.digest)
        self._download = download = Download(part, chunk, self._clock())
        if download.complete:
            self._check(download)
        else:
            self._connection.subscribe(self._topics.model(file.digest), qos=0)
            self.ask()

    def _go_on_with(self, chunk: int) -> None:
        """Go on in chunks of another size, if the aggregator has come back with one."""
        with self._lock:
            download = self._download
            if download and download.chunk != chunk and not download.complete:
                self._download = Download(download.part, chunk, self._clock())
                self.ask()

    def ask(self) -> None:
        """Ask for what comes next, if little is on its way."""
        with self._lock:
            if (download := self._download) and (want := download.want(self._clock())):
                self._request(want)

    def _ask_again(self) -> None:
        """Ask for what is missing: nothing has arrived for a while."""
        self.ask()
        if (download := self._download) and download.fruitless == FRUITLESS:
            self._in_vain(stalled("The model was asked for", download.chunk))

    def take(self, chunk: Chunk) -> None:
        """Take a piece, asked for by this device or by another, in the network's thread.

        Raises
        ------
        ProtocolError
            If it is no whole chunk of the announced size.
        StorageError
            If the disk is full.
        """
        with self._lock:
            download, now = self._download, self._clock()
            if download is None or chunk.digest != download.part.digest or download.complete:
                return
            download.take(chunk, now)
            self._connection.progressed()
            if download.complete:
                self._loop.put(partial(self._check, download))
            else:
                self.ask()
                if download.to_save(now):
                    self._loop.put(partial(self._save, download))

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
            self._discard(download.part)

    def close(self) -> None:
        """Make what has arrived durable, for the next process; the network's thread has ended."""
        if self._download:
            with suppress(StorageError):  # what a full disk did not take arrives again
                self._download.part.flush()
            self._download.part.close()

    def _save(self, download: Download) -> None:
        """Make what has arrived durable: not in the network's thread, which may not wait."""
        if download is self._download:
            download.part.flush()

    def _leads_on(self, way: Shortcut, files: list[File]) -> bool:
        """Say whether a shortcut leads from what is there to what is needed and is not there."""
        path = self._client_state.path
        self._useless.intersection_update([way.file.digest])
        needed = way.model in files and not path(way.model.digest).exists()
        return needed and path(way.base).exists() and not self._useless

    def _make(self, way: Shortcut) -> None:
        """Make a model of the one that is there."""
        self._making = True
        paths = map(self._client_state.path, (way.base, way.file.digest, way.model.digest))
        made = partial(self._made, way)
        self._worker.do(partial(way.take, *paths), made, partial(self._not_made, way))

    def _made(self, way: Shortcut, _: None) -> None:
        self._making = False
        self._whole.add(way.model.digest)
        self._ended(True)

    def _not_made(self, way: Shortcut, error: ChorusError) -> None:
        self._making = False
        if isinstance(error, StorageError):
            raise error
        log.warning("A model is fetched whole: %s", error.message)
        self._useless.add(way.file.digest)
        self._ended(True)

    def _keep_only(self, files: list[File], base: str | None) -> None:
        """Remove what is not current any more, and give it up if it is being fetched."""
        digests = [file.digest for file in files]
        self._client_state.keep_only(*digests, *([base] if base else []))
        self._whole.intersection_update(digests)
        if self.digest not in digests:
            self.drop()

    def _look_at(self, digest: str) -> None:
        """Check a file that an earlier process left."""
        self._left = digest
        read = partial(_digest_of, self._client_state.path(digest))
        self._worker.do(read, partial(self._looked_at, digest), self._not_looked_at)

    def _looked_at(self, digest: str, found: str | None) -> None:
        self._left = None
        if found == digest:
            self._whole.add(digest)
        elif found is not None:
            self._client_state.path(digest).unlink(missing_ok=True)
        self._ended(True)

    def _check(self, download: Download) -> None:
        """Check a file that is complete."""
        if download is self._download:
            matched = partial(self._checked, download)
            self._worker.do(download.part.matches, matched, partial(self._not_checked, download))

    def _checked(self, download: Download, whole: bool) -> None:  # noqa: FBT001 -- as a worker calls it
        """Put a file in its place, or drop it."""
        with self._lock:
            if download is not self._download:
                return  # it was given up meanwhile
            part, self._download = download.part, None
        self._connection.unsubscribe(self._topics.model(part.digest))
        if whole:
            part.keep(self._client_state.path(part.digest))
            self._whole.add(part.digest)
        else:
            self._discard(part)
            self._useless.add(part.digest)
            log.warning("A model arrived damaged; it is fetched again.")
        self._ended(whole)

    def _not_looked_at(self, error: ChorusError) -> None:
        self._left = None
        raise error

    def _not_checked(self, download: Download, error: ChorusError) -> None:
        """Learn that a file could not be read: it is fetched again, from the beginning."""
        if download is self._download:
            self.drop()
            raise error

    def _discard(self, part: PartFile) -> None:
        """Delete what arrived; its name is free at once, and the worker may still read it."""
        part.path.unlink(missing_ok=True)
        record_of(part.path).unlink(missing_ok=True)
        self._worker.submit(part.close)

    def _request(self, want: Want) -> None:
        # If it is not sent now, it is asked again when the connection is back.
        topic = self._topics.requests(self._connection.name)
        self._connection.publish(topic, want.encode(), wait=False)


def _digest_of(path: Path) -> str | None:
    """Compute a file's digest; ``None`` if it is gone."""
    with storage_errors(path):
        try:
            return sha256_of(path)
        except FileNotFoundError:
            return None
