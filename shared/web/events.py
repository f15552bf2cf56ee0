"""Server-sent events to all open pages, from any thread."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.web.policy import error_response

MOST_READERS: Final = 8
"""Pages that are kept up to date at the same time."""

HEARTBEAT: Final = 5.0
"""Seconds after which a page is told something at the latest, or it thinks its server is away."""


def event(name: str, data: bytes) -> bytes:
    """Write an event as it is sent.

    Parameters
    ----------
    name, data
        What it is of, and what it says, in UTF-8.
    """
    return ServerSentEvent(data.decode(), event=name, sep="\n").encode()


class Reader:
    """What one page has yet to be told.

    Its queue holds the newest event of each name and no older one: a page that reads slowly misses
    what it would have been told in between, and holds no memory.

    Parameters
    ----------
    waiting
        What it is told first, by name.
    heartbeat
        Gives the event that it is told after all others, and after each silence.
    silence
        Seconds.
    """

    def __init__(
        self, waiting: Mapping[str, bytes], heartbeat: Callable[[], bytes], silence: float
    ) -> None:
        self._waiting = dict(waiting)
        self._heartbeat = heartbeat
        self._silence = silence
        self._ended = False
        self._lock = threading.Lock()
        self._wake: Callable[[], object] | None = None

    def put(self, events: Mapping[str, bytes], *, ended: bool = False) -> None:
        """Put events into the queue, in the place of those with their names, and wake the page.

        Parameters
        ----------
        events
            By name; none wakes it for its heartbeat.
        ended
            Whether it is told nothing more after these.
        """
        with self._lock:
            self._waiting.update(events)
            self._ended |= ended
            if self._wake is not None:
                self._wake()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Give the events, as they are sent, while there are any to come."""
        news = asyncio.Event()
        with self._lock:
            self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, news.set)
            if self._waiting or self._ended:
                news.set()
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._silence):
                        await news.wait()
                with self._lock:
                    news.clear()
                    waiting, self._waiting = self._waiting, {}
                    ended = self._ended
                for each in waiting.values():
                    yield each
                yield self._heartbeat()
                if ended:
                    return
        finally:
            with self._lock:
                self._wake = None


class Broadcast:
    """Tells all open pages the same.

    Parameters
    ----------
    heartbeat
        Gives the event that pages are told after all others, and after each silence.
    silence
        Seconds.
    """

    def __init__(self, heartbeat: Callable[[], bytes], silence: float = HEARTBEAT) -> None:
        self._heartbeat = heartbeat
        self._silence = silence
        self._lock = threading.Lock()
        self._readers: set[Reader] = set()
        self._newest: dict[str, bytes] = {}
        self._closed = False

    @property
    def readers(self) -> int:
        """How many pages are open."""
        return len(self._readers)

    @contextmanager
    def reader(self) -> Iterator[Reader | None]:
        """Open the queue of one page, or give ``None`` if there are too many pages."""
        with self._lock:
            if not self._readers:
                self._newest.clear()  # What the last page was told is old.
            reader = Reader(self._newest, self._heartbeat, self._silence)
            reader.put({}, ended=self._closed)
            welcome = len(self._readers) < MOST_READERS
            if welcome:
                self._readers.add(reader)
        try:
            yield reader if welcome else None
        finally:
            with self._lock:
                self._readers.discard(reader)

    def tell(self, name: str, data: bytes) -> None:
        """Tell all pages, unless that is what they were told last.

        Parameters
        ----------
        name, data
            Of the event: see :func:`event`.
        """
        written = event(name, data)
        with self._lock:
            if self._newest.get(name) != written:
                self._newest[name] = written
                self._put({name: written})

    def beat(self) -> None:
        """Send all pages their heartbeat now."""
        with self._lock:
            self._put({})

    def close(self) -> None:
        """End all pages' events once they are told, and those of pages to come."""
        with self._lock:
            self._closed = True
            self._put({}, ended=True)

    def _put(self, events: Mapping[str, bytes], *, ended: bool = False) -> None:
        for reader in self._readers:
            reader.put(events, ended=ended)


class EventStream:
    """The events of a page, as what a route leads to.

    Parameters
    ----------
    reader
        Opens the queue of one page: :meth:`Broadcast.reader`, or what does more on the way.
    """

    def __init__(self, reader: Callable[[], AbstractContextManager[Reader | None]]) -> None:
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the page is closed, or refuse to."""
        with self._reader() as reader:
            answer: ASGIApp = error_response(HTTPStatus.SERVICE_UNAVAILABLE)
            if reader is not None:
                # A ping of its own would only add to our heartbeat, which pages listen to.
                headers = {"Content-Type": "text/event-stream"}
                answer = EventSourceResponse(reader.events(), headers=headers, sep="\n", ping=0)
            await answer(scope, receive, send)
