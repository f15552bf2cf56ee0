"""A device's part in a federation, as one loop over events.

As on the aggregator's side, the network's thread only puts messages into a queue; training runs in
a thread of its own; every decision is taken in the loop's thread. Nothing polls: the loop sleeps
until a message, finished work, or a deadline wakes it.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

from edge_client.federation.client_state import ClientState
from edge_client.federation.delivery import Delivery
from edge_client.federation.fetching import Fetching, check_sizes
from edge_client.federation.readiness import Readiness
from edge_client.federation.round_work import MakeEngine
from edge_client.federation.settings import FederationSettings, PermissionSettings
from edge_client.federation.transfers import PATIENCE
from edge_client.federation.working import Outcome, Working
from shared.byte_budget import ByteBudget
from shared.connection import Connection
from shared.errors import BrokerError, ChorusError, ProtocolError, StorageError
from shared.protocol.frames import Chunk
from shared.protocol.messages import (
    Accepted,
    Announcement,
    File,
    Message,
    Offer,
    Presence,
    Received,
    Refused,
    Unavailable,
    decode_reply,
)
from shared.protocol.topics import Topics
from shared.task_settings import options_for
from shared.training import Examples

log = logging.getLogger(__name__)

_AGAIN: Final = 30.0
"""Seconds until what failed, on a full disk for one, is tried again."""

_MOST_WAITING: Final = 16 << 20
"""Bytes of messages that wait for the loop at most: an honest aggregator's take a few thousand."""

OnModel = Callable[[Path, Announcement], None]
"""Told of a new global model: its file, and the announcement."""


class Participant:
    """Takes part in a federation until it is stopped.

    Parameters
    ----------
    settings
        Which federation, and how.
    folder
        Where its part is kept.
    examples
        Gives what the device has to train on, normalised; called for each round.
    count
        Counts them, more cheaply.
    engines
        Makes what trains.
    on_model
        Told of each new global model, the averaged one where there is one.
    report
        Told what the device is doing, for its screens.
    clock
        A clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        settings: FederationSettings,
        folder: Path,
        *,
        examples: Callable[[], Examples],
        count: Callable[[], int],
        engines: MakeEngine,
        on_model: OnModel = lambda *_: None,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._memory = ClientState(folder)
        self._on_model = on_model
        self._report = report
        self._clock = clock
        self._topics = Topics(settings.federation)
        self._readiness = Readiness(settings.part(PermissionSettings), count=count, clock=clock)
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._waiting = ByteBudget(_MOST_WAITING)
        self._announcement: Announcement | None = None
        self._shown: str | None = None
        self._remarked = ""
        self._try_at: float | None = None
        self._stopped = False
        name = settings.name
        self._words = [self._topics.round, self._topics.replies(name)]
        self._connection = Connection(
            settings.broker,
            name,
            subscriptions=self._words,
            will=(self._topics.presence(name), Presence(state="offline").encode()),
            on_message=self._arrived,
            on_change=lambda *change: self._events.put(partial(self._change, *change)),
            on_room=lambda: self._events.put(self._send),
        )
        self._fetching = Fetching(
            self._memory,
            self._connection,
            self._topics,
            ended=self._fetched,
            later=self._events.put,
            clock=clock,
        )
        self._delivery = Delivery(self._memory, self._connection, self._topics, clock=clock)
        self._working = Working(
            name,
            settings.holdout,
            self._memory,
            examples=examples,
            engines=engines,
            put=self._events.put,
            ended=self._worked,
        )

    def run(self) -> None:
        """Take part until :meth:`stop`, or until as many updates have counted as were to.

        Raises
        ------
        BrokerError
            If the broker does not let this device in.
        """
        self._connection.start()
        try:
            while not self._stopped:
                try:
                    self._next()()
                except StorageError as error:
                    if self._try_at is None:  # once, however many chunks find the disk full
                        log.error("%s %s", error.problem, error.remedy)  # noqa: TRY400 -- a full disk
                    self._tell("troubled", error.problem)
                    self._try_at = self._clock() + _AGAIN
        finally:
            self._working.give_up()
            name = self._connection.name
            self._publish(self._topics.presence(name), Presence(state="offline"), retain=True)
            self._working.close()
            self._connection.close()
            self._fetching.close()

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from any thread, and in a signal's handler."""
        self._working.give_up()
        self._events.put(self._stop)

    def examples_changed(self) -> None:
        """Learn that there are other examples; may be called from any thread."""
        self._events.put(self._look)

    def _stop(self) -> None:
        self._stopped = True

    def _next(self) -> Callable[[], None]:
        """Wait for what is to be done next; messages go before what is due if nobody answers."""
        due = [self._try_at, self._readiness.look_at]
        if self._connection.connected:
            due += [self._fetching.again_at, self._delivery.again_at]
        wake_at = min((at for at in due if at is not None), default=None)
        left = None if wake_at is None else max(0.0, wake_at - self._clock())
        try:
            return self._events.get(timeout=left)
        except Empty:
            return self._tick

    def _tick(self) -> None:
        now = self._clock()
        if (at := self._readiness.look_at) is not None and now >= at:
            self._look()
        if self._try_at is not None and now >= self._try_at:
            self._try_at = None
            self._consider()
        if self._connection.connected:
            if (at := self._fetching.again_at) is not None and now >= at:
                self._fetching.ask()
            if (at := self._delivery.again_at) is not None and now >= at:
                self._delivery.look()

    # ------------------------------------------------------------------ the network

    def _change(self, connected: bool, sentence: str) -> None:  # noqa: FBT001 -- Connection's call
        log.info(sentence)
        if refused := self._connection.refused:
            raise BrokerError(refused.problem, refused.remedy)
        if not connected:
            self._tell("away", sentence)
            return
        self._tell("waiting", "")
        self._look()
        self._fetching.restart()
        self._delivery.restart()

    def _send(self) -> None:
        self._delivery.go_on()

    def _look(self) -> None:
        """Say that this device is there, how many examples it has, and whether it would train."""
        presence = self._readiness.look(training=self._working.on is not None)
        if not self._readiness.trains:
            self._working.give_up()  # it goes on from there when it may
        self._publish(self._topics.presence(self._connection.name), presence, retain=True)
        if self._connection.connected:
            self._consider()

    def _arrived(self, topic: str, payload: bytes) -> None:
        """Take a message in the network's thread: a model's chunk at once, others to the loop."""
        if topic not in self._words:
            self._chunk(payload)
        elif self._waiting.add(payload):
            self._events.put(partial(self._message, topic, payload))

    def _chunk(self, frame: bytes) -> None:
        """Take a piece of a model; what goes wrong is for the loop to handle."""
        try:
            self._fetching.take(Chunk.decode(frame))
        except ChorusError as error:
            self._events.put(partial(self._chunk_failed, error))

    def _chunk_failed(self, error: ChorusError) -> None:
        if isinstance(error, StorageError):
            raise error
        self._remark(f"{error.problem} {error.remedy}".strip())

    def _message(self, topic: str, payload: bytes) -> None:
        """Take a message; whatever is wrong with it ends nothing but itself."""
        self._waiting.remove(payload)
        try:
            if topic == self._topics.round:
                if payload:
                    self._announced(Announcement.decode(payload))
            else:
                self._reply(decode_reply(payload))
        except StorageError:
            raise
        except ChorusError as error:
            self._remark(f"{error.problem} {error.remedy}".strip())
        except Exception:
            log.exception("A message to %s could not be handled.", topic)

    def _remark(self, sentence: str) -> None:
        """Log what is wrong, but not again and again."""
        if sentence != self._remarked:
            self._remarked = sentence
            log.warning("%s", sentence)

    def _publish(self, topic: str, message: Message, *, retain: bool = False) -> None:
        # If it is not sent now, it is said again when the connection is back.
        self._connection.publish(topic, message.encode(), retain=retain, wait=False)

    def _reply(self, reply: Received | Accepted | Refused | Unavailable) -> None:
        offer = self._memory.offer
        match reply:
            case Unavailable(file=file, sentence=sentence):
                if self._fetching.digest == file:
                    log.info("%s", sentence)
                    self._fetching.drop()
            case _ if offer is None or offer.update != reply.update:
                pass  # about an update that was decided on before
            case Received():
                self._delivery.told(reply)
            case Accepted():
                self._decided(offer, "")
            case Refused(reason="damaged") if self._memory.intact():
                log.warning("%s It is sent again.", reply.sentence)
                self._delivery.arrived_damaged()
            case Refused(sentence=sentence):
                self._decided(offer, sentence)

    # ------------------------------------------------------------------ rounds

    def _announced(self, announcement: Announcement) -> None:
        if announcement.federation != self._settings.federation:
            raise ProtocolError("An announcement is of another federation.")
        if difference := self._settings.task.difference(announcement.task):
            self._announcement = None
            self._working.give_up()
            raise self._of_another_task(announcement, difference)
        check_sizes(announcement)
        before = self._announcement
        self._announcement = announcement
        self._memory.enter(announcement.run)
        if self._memory.offer is None:
            self._delivery.end()
        # The aggregator may be another process, or the round over: then it hears of this update.
        self._delivery.restart()
        if before is None or _named(before) != _named(announcement):
            log.info("Round %d is %s.", announcement.round, announcement.state)
        if self._working.on not in (None, (announcement.run, announcement.round)):
            self._working.give_up()
        self._consider()

    def _of_another_task(self, announcement: Announcement, difference: str) -> ProtocolError:
        """Make, and show, the error of a federation that this device cannot take part in."""
        options = options_for(announcement.task, self._settings.task)
        error = ProtocolError(
            f"The federation {announcement.federation} is of another task: {difference}.",
            f"Start this device with {options} to take part." if options else "",
        )
        self._tell("troubled", f"{error.problem} {error.remedy}".strip())
        return error

    def _consider(self) -> None:
        """Do what comes next: offer a finished update, fetch a file, or train."""
        announcement = self._announcement
        if announcement is None:
            return
        # Here too: a full disk may have prevented it when the announcement came.
        self._memory.enter(announcement.run)
        if self._memory.offer is not None:
            self._tell("sending", "")
            if not self._delivery.under_way:
                self._delivery.begin(announcement.chunk)
            return
        mine = self._is_mine(announcement)
        ready = self._has_files(self._wanted(announcement, mine=mine), announcement.chunk)
        if ready and self._shown != (shown := (announcement.averaged or announcement.model)).digest:
            self._shown = shown.digest
            self._on_model(self._memory.path(shown.digest), announcement)
        if ready:
            self._tell("training" if mine else "waiting", "")
        if ready and mine and self._working.on is None:
            log.info(
                "Round %d: training on %d examples.", announcement.round, self._readiness.examples
            )
            self._working.begin(announcement)

    def _has_files(self, wanted: list[File], chunk: int) -> bool:
        """Say whether all files are there; fetch the first that is not."""
        self._fetching.keep_only(wanted)
        missing = [file for file in wanted if not self._fetching.has(file)]
        if missing:
            self._tell("fetching", "")
            if self._fetching.digest is None:
                self._fetching.begin(missing[0], chunk)
        return not missing

    def _fetched(self, whole: bool) -> None:  # noqa: FBT001 -- Fetching's call
        if whole:
            self._consider()
        else:
            self._try_at = self._clock() + PATIENCE

    def _is_mine(self, announcement: Announcement) -> bool:
        """Say whether this device has something to do in the announced round."""
        name, clients = self._connection.name, announcement.clients
        invited = announcement.state == "open" and (clients is None or name in clients)
        done = self._memory.is_done(announcement.run, announcement.round)
        return invited and not done and self._readiness.trains

    def _wanted(self, announcement: Announcement, *, mine: bool) -> list[File]:
        """List the files this device needs: to train, if the round is its own, and to recognise."""
        recognises = announcement.averaged or announcement.model
        if not mine:
            return [recognises]
        files = [announcement.model, announcement.control, recognises]
        return list({file.digest: file for file in files if file}.values())

    def _worked(self, outcome: Outcome) -> None:
        """Learn what came of a round's work."""
        if isinstance(outcome, ChorusError):
            self._remark(f"{outcome.problem} {outcome.remedy}".strip())
            self._tell("troubled", outcome.problem)
            self._try_at = self._clock() + _AGAIN
            return
        if outcome:
            ready = f"{outcome.size} bytes in {outcome.codec}"
            log.info("Round %d: the update is ready, %s.", outcome.round, ready)
        self._consider()

    def _decided(self, offer: Offer, refused: str) -> None:
        """Learn what became of the update: it counts, or was refused."""
        if refused:
            log.warning("Round %d: the update was refused: %s", offer.round, refused)
        else:
            log.info("Round %d: the update counts.", offer.round)
        self._memory.decide(refused=refused)
        self._delivery.end()
        self._tell("waiting", refused)
        if self._settings.leave_after and self._memory.accepted >= self._settings.leave_after:
            self._stopped = True
        self._consider()

    def _tell(self, state: str, remark: str) -> None:
        announcement = self._announcement
        self._report(
            {
                "state": state,
                "number": announcement.round if announcement else None,
                "accepted": self._memory.accepted,
                "remark": remark,
            }
        )


def _named(announcement: Announcement) -> tuple[str, int, str]:
    return announcement.run, announcement.round, announcement.state
