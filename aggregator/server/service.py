"""The aggregator at work: one loop that takes events in turn.

The network's thread puts messages into the loop's queue, but for the chunks of updates, which it
writes to their files; what waits for the disk, and long arithmetic, run in two threads and come
back as events. So every rule runs in one thread, in one order, and nothing polls: the loop sleeps
until a message, a finished piece of work, or a deadline wakes it.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from aggregator.ledger import Version
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed, Opened, Step
from aggregator.server.distribution import Distribution
from aggregator.server.receiving import Receiving
from aggregator.server.rejections import Rejections
from aggregator.server.worker import Action, Worker
from shared.broker_settings import BrokerSettings
from shared.byte_budget import ByteBudget
from shared.connection import Connection
from shared.errors import BrokerError, ChorusError, ProtocolError, StorageError
from shared.protocol.frames import Chunk
from shared.protocol.messages import (
    Announcement,
    File,
    Message,
    Offer,
    Presence,
    Unavailable,
    Want,
    decode_request,
)
from shared.protocol.topics import Topics

log = logging.getLogger(__name__)

_STORAGE_RETRY: Final = 10.0
"""Seconds until something is tried again that a full disk has prevented."""

_WRITE_HEARD: Final = 5.0
"""Seconds within which it is written when clients were last heard: each writing waits for the
disk."""

_SAY_AGAIN: Final = 1.0
"""Seconds between two sentences on who is there: five hundred devices come one after the other."""

_FAREWELL: Final = 10.0
"""Seconds that those who are there have to ask for the last model, again and again until they have
it."""

_MOST_WAITING: Final = 8 << 20
"""Bytes of messages that wait for the loop at most: ten thousand, as all clients say hello with."""


_GREETING: Final = 2.0
"""Seconds after a connection within which the broker has told who is there."""


class Service:
    """Runs a federation through a broker until its last round, or until it is stopped.

    Parameters
    ----------
    federation
        What lies on the disk.
    broker
        Where clients are.
    on_round
        Told of each round that has ended, with the new version or ``None`` if it was abandoned.
    on_change
        Told, not too often, that clients have come or gone, or a round is in another phase.
    clock
        A clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        federation: Federation,
        broker: BrokerSettings,
        *,
        on_round: Callable[[int, Version | None], None] = lambda *_: None,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = federation.settings
        self._federation = federation
        self._rounds = federation.rounds
        self._on_round = on_round
        self._on_change = on_change
        self._clock = clock
        self._topics = topics = Topics(settings.federation)
        self._events: SimpleQueue[Action] = SimpleQueue()
        self._disk = Worker("disk", self._events.put)
        self._arithmetic = Worker("arithmetic", self._events.put)
        self._rejections = Rejections()
        self._waiting = ByteBudget(_MOST_WAITING)
        self._receiving = Receiving(
            federation,
            self._disk,
            self._arithmetic,
            self._rejections,
            reply=self._reply,
            counted=self._follow,
            later=self._later,
            clock=clock,
        )
        self._distribution = Distribution(self._publish_chunk, settings.chunk)
        self._retries: deque[tuple[float, Action]] = deque()
        self._forever = False
        self._told_end = False
        self._farewell_at = self._greeted_at = 0.0
        self._write_at: float | None = None
        self._say_at: float | None = None
        self._said = -_SAY_AGAIN
        self._unwritten = False
        self._stopped = False
        self._connection = Connection(
            broker,
            f"{settings.federation}-aggregator",
            subscriptions=[topics.presence("+"), topics.requests("+")],
            unacknowledged=[topics.chunks("+")],
            on_message=self._arrived,
            on_change=lambda *change: self._events.put(partial(self._change, *change)),
        )

    def run(self, *, forever: bool = False) -> None:
        """Serve until the last round has ended, or for ever, for clients that come later.

        Those who are there when the last round ends get its model in any case.

        Raises
        ------
        BrokerError
            If the broker does not let the aggregator in.
        FederationError
            If a model's file is damaged.
        """
        self._forever = forever
        self._serve_files()
        # Before anything that the network brings.
        self._events.put(lambda: self._follow(self._rounds.start(self._clock())))
        self._events.put(self._changed)
        self._connection.start()
        self._distribution.start()
        try:
            while not self._ended():
                try:
                    self._next()()
                except StorageError as error:
                    log.error("%s %s", error.problem, error.remedy)  # noqa: TRY400 -- a full disk
        finally:
            self._arithmetic.close()
            self._disk.close()
            self._connection.close()
            self._distribution.close()
            self._receiving.close()

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from any thread, and in a signal's handler."""
        self._events.put(self._stop)

    def _stop(self) -> None:
        self._stopped = True

    def _ended(self) -> bool:
        if self._rounds.phase != "finished":
            return self._stopped
        # An earlier process may have been killed before it could tell that the last round ended.
        return self._stopped or (self._leave_at is not None and self._clock() >= self._leave_at)

    @property
    def _leave_at(self) -> float | None:
        """When nobody is there any more who would ask for the last model; never while it stays."""
        if self._forever or not self._told_end:
            return None
        return self._farewell_at if self._rounds.present else self._greeted_at

    def _next(self) -> Action:
        """Wait for what is to be done next; a deadline goes before messages."""
        retry_at = self._retries[0][0] if self._retries else None
        due = [self._rounds.wake_at, retry_at, self._receiving.wake_at]
        due += [self._write_at, self._say_at, self._leave_at]
        wake_at = min((at for at in due if at is not None), default=None)
        left = None if wake_at is None else wake_at - self._clock()
        if left is not None and left <= 0:
            return self._tick
        try:
            return self._events.get(timeout=left)
        except Empty:
            return self._tick

    def _tick(self) -> None:
        now = self._clock()
        while self._retries and now >= self._retries[0][0]:
            self._retries.popleft()[1]()
        if self._write_at is not None and now >= self._write_at:
            self._write_heard()
        if self._say_at is not None and now >= self._say_at:
            self._said, self._say_at = now, None
            self._on_change()
        self._receiving.admit()
        self._follow(self._rounds.tick(now))

    def _changed(self) -> None:
        """Take note that there is something new to say."""
        if self._say_at is None:
            self._say_at = max(self._clock(), self._said + _SAY_AGAIN)

    def _hear(self, client: str, **facts: Any) -> None:
        """Take note that a client was heard; it is written with what comes next, or soon."""
        self._federation.ledger.hear(client, **facts)
        if self._write_at is None:
            self._write_at = self._clock() + _WRITE_HEARD

    def _write_heard(self) -> None:
        self._write_at = None
        try:
            self._federation.ledger.flush()
        except StorageError as error:
            # It is kept until there is space.
            log.warning("%s %s", error.problem, error.remedy)

    def _later(self, what: Action) -> None:
        """Do something again after a while."""
        self._retries.append((self._clock() + _STORAGE_RETRY, what))

    # ------------------------------------------------------------------ the network

    def _change(self, connected: bool, sentence: str) -> None:  # noqa: FBT001 -- Connection's call
        log.info(sentence)
        if refused := self._connection.refused:
            raise BrokerError(refused.problem, refused.remedy)
        if connected:
            self._distribution.forget()
            # Who is there the broker tells now; it may have lost wills while it was away.
            self._rounds.forget_present()
            self._greeted_at = self._clock() + _GREETING
            self._farewell_at = max(self._farewell_at, self._clock() + _FAREWELL)
            self._announce()
            self._federation.ledger.forget_present()
        self._changed()

    def _arrived(self, topic: str, payload: bytes) -> None:
        """Take a message from the network's thread; a flood is cut off, as a network does it."""
        place = self._topics.client_of(topic)
        if place is None:
            return
        client, kind = place
        if kind == "chunks":
            self._receiving.chunk(client, payload)
        elif self._waiting.add(payload):
            self._events.put(partial(self._message, client, kind, payload))

    def _message(self, client: str, kind: str, payload: bytes) -> None:
        """Take a message; whatever is wrong with it ends nothing but itself."""
        self._waiting.remove(payload)
        try:
            if kind == "requests":
                self._request(client, decode_request(payload))
            elif kind == "presence" and payload:
                self._presence(client, Presence.decode(payload))
        except ProtocolError as error:
            self._rejections.about(client, error.problem)
        except StorageError:
            raise
        except Exception:
            log.exception("A message of %s could not be handled.", client)

    def _request(self, client: str, request: Offer | Want) -> None:
        if isinstance(request, Want):
            self._want(client, request)
        elif not self._unwritten:
            # Else nobody was told of this round yet: an honest client will offer it again.
            self._receiving.offer(client, request)

    def _presence(self, client: str, presence: Presence) -> None:
        there = presence.state == "online"
        self._hear(
            client,
            present=there,
            trains=there and presence.trains,
            examples=presence.examples,
            software=presence.software,
        )
        if there and presence.trains:
            self._follow(self._rounds.come(client, self._clock()))
        else:
            self._rounds.leave(client)
        if not there:
            self._receiving.suspend(client)
        self._changed()

    def _want(self, client: str, want: Want) -> None:
        self._farewell_at = max(self._farewell_at, self._clock() + _FAREWELL)
        size = self._distribution.want(want)
        if size is None:
            sentence = "This file is not current any more: the announcement names those that are."
            self._reply(client, Unavailable(file=want.file, sentence=sentence))
        else:
            self._hear(client, bytes_down=size)

    def _publish_chunk(self, chunk: Chunk) -> bool:
        return self._connection.publish(self._topics.model(chunk.digest), chunk.encode(), qos=0)

    def _reply(self, client: str, message: Message) -> None:
        # It must not wait behind the chunks of models; a client that hears nothing asks again.
        self._connection.publish(self._topics.replies(client), message.encode(), wait=False)

    # ------------------------------------------------------------------ rounds

    def _follow(self, step: Step) -> None:
        """Do what the rules say."""
        match step:
            case Opened():
                try:
                    self._federation.open_round(step)
                except StorageError:
                    self._unwritten = True
                    self._later(partial(self._follow, step))
                    raise
                self._unwritten = False
                clients = "1 client" if len(step.invited) == 1 else f"{len(step.invited)} clients"
                log.info("Round %d is open for %s.", step.number, clients)
                self._announce()
                self._changed()
            case Closed():
                log.info("Round %d: its updates are aggregated.", step.number)
                self._aggregate(step)

    def _aggregate(self, closed: Closed) -> None:
        def failed(error: ChorusError) -> None:
            if isinstance(error, StorageError):
                self._later(partial(self._aggregate, closed))
            raise error

        work = partial(self._federation.close_round, closed)
        self._arithmetic.do(work, partial(self._aggregated, closed.number), failed)

    def _aggregated(self, number: int, version: Version | None) -> None:
        self._receiving.clear()
        self._rejections.forget()
        self._serve_files()
        step = self._rounds.end(self._clock())
        self._on_round(number, version)
        self._farewell_at = self._clock() + _FAREWELL
        if step is None:
            self._announce()
        self._follow(step)
        self._changed()

    def _announce(self) -> None:
        """Tell everybody where the federation stands; again whenever the connection is back."""
        if self._unwritten:
            return  # no update can count in a round that the ledger does not have
        announcement = self._announcement()
        told = self._connection.publish(
            self._topics.round, announcement.encode(), retain=True, wait=False
        )
        if not told and self._connection.connected:
            self._later(self._announce)
        self._told_end = told and announcement.state == "finished"

    def _announcement(self) -> Announcement:
        settings, rounds = self._federation.settings, self._rounds
        current = self._federation.current
        state = {"waiting": "waiting", "finished": "finished"}.get(rounds.phase, "open")
        left = None if rounds.wake_at is None else max(0.0, rounds.wake_at - self._clock())
        return Announcement(
            federation=settings.federation,
            run=self._federation.ledger.run,
            state=state,  # type: ignore[arg-type] # one of the three, as the dictionary shows
            round=max(1, rounds.number),
            architecture=settings.model,
            task=self._federation.architecture.task,
            model=self._file(current.digest),
            averaged=self._file(current.average) if current.average else None,
            control=self._file(current.control) if current.control else None,
            training=settings.announced(max(1, rounds.number)),
            strategy=settings.strategy,
            codecs=list(settings.codecs),
            seed=settings.seed,
            clients=sorted(rounds.invited) if state == "open" else None,
            closes_in=left,
            closes_at=None if left is None else datetime.now(UTC) + timedelta(seconds=left),
            chunk=settings.chunk,
        )

    def _file(self, digest: str) -> File:
        return File(digest=digest, size=self._federation.files.size(digest))

    def _serve_files(self) -> None:
        current, files = self._federation.current, self._federation.files
        served = (current.digest, current.average, current.control)
        self._distribution.serve({digest: files.path(digest) for digest in served if digest})
