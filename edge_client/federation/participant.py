"""A device's part in a federation: what the network and the device bring, and what follows.

The participant stands on a :class:`shared.loop.Loop`: every decision is taken in its thread. The
network's thread only puts messages into the loop's queue (``messages.py``), but for the chunks of
models, which it writes to their files. Training, and whatever reads whole files, runs in workers.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from edge_client.enrolment.membership import Membership
from edge_client.federation import permission
from edge_client.federation.announced_round import AnnouncedRound
from edge_client.federation.client_state import ClientState
from edge_client.federation.delivery import Delivery
from edge_client.federation.fetching import Fetching
from edge_client.federation.handover import Handover, OnModel
from edge_client.federation.messages import AGAIN, Messages
from edge_client.federation.pending import objection_to
from edge_client.federation.readiness import Readiness
from edge_client.federation.replies import Replies
from edge_client.federation.round_work import MakeEngine, Trained
from edge_client.federation.round_worker import Outcome, RoundWorker
from edge_client.federation.secure_part import SecurePart
from edge_client.federation.settings import FederationSettings
from edge_client.federation.shortcut import Shortcut
from edge_client.federation.telling import Telling
from edge_client.federation.transfers import PATIENCE
from shared.errors import BrokerError, ChorusError, StorageError
from shared.loop import Loop
from shared.mqtt.connection import Connection
from shared.protocol.messages import Announcement, Offer, Presence
from shared.protocol.topics import Topics
from shared.secure.sharing import Draw
from shared.task import Task
from shared.training import Examples

log = logging.getLogger(__name__)


class Participant:
    """Takes part in a federation until it is stopped.

    Parameters
    ----------
    settings
        Which federation, and how.
    folder
        Where its part is kept.
    examples
        Gives what the device has to train on, normalised; called for each round, in a worker.
    keys
        Lists their keys, more cheaply; those that no person has labelled are negative.
    engines
        Makes what trains.
    on_model
        Told of each new global model, the averaged one where there is one; called in a worker.
    report
        Told what the device is doing, for its screens.
    why_not
        Says why the device may not train now, as :func:`.permission.why_not` does.
    membership
        What it signs with and whom it believes, if it has joined by invitation.
    follow
        Told of the task of a federation that has another; says whether this part is to end, for
        another one with that task to begin.
    loop
        What it stands on; one of its own if not given.
    connect
        Makes the connection to the broker.
    noise
        Where the noise of private secure rounds comes from; others than the system's entropy are
        for tests.
    """

    def __init__(  # noqa: PLR0913 -- most are the device's functions
        self,
        settings: FederationSettings,
        folder: Path,
        *,
        examples: Callable[[], Examples],
        keys: Callable[[], Sequence[int]],
        engines: MakeEngine,
        on_model: OnModel = lambda *_: None,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
        why_not: Callable[..., str | None] = permission.why_not,
        membership: Membership | None = None,
        follow: Callable[[Task], bool] = lambda _: False,
        loop: Loop | None = None,
        connect: Callable[..., Connection] = Connection,
        noise: Draw = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._client_state = client_state = ClientState(folder)
        self._membership = membership
        self._follow = follow
        self._loop = loop = loop or Loop()
        self._topics = topics = Topics(settings.federation)
        self._files = files = loop.worker("files")
        self._round: AnnouncedRound | None = None
        self._telling = Telling(
            settings,
            client_state,
            loop=loop,
            announced=lambda: self._round.announcement if self._round else None,
            lacks=lambda: self._readiness.lacks,
            report=report,
        )
        self._try_again = loop.deadline(self._consider)
        self._messages = Messages(
            topics,
            settings.name,
            loop=loop,
            membership=membership,
            telling=self._telling,
            chunk=lambda chunk: self._fetching.take(chunk),  # noqa: PLW0108 -- it is made below
            announced=self._announced,
            replied=self._replied,
        )
        # What comes and goes, and whether this device may train.
        self._connection = connection = self._make_connection(connect)
        self._readiness = self._make_readiness(keys, why_not)
        loop.watch(lambda: self._readiness.look_at, self._look)
        self._fetching = Fetching(
            client_state,
            connection,
            topics,
            loop=loop,
            worker=files,
            ended=self._fetched,
            in_vain=self._telling.in_vain,
        )
        self._delivery = Delivery(
            client_state,
            connection,
            topics,
            loop=loop,
            worker=files,
            terms=settings.terms,
            in_vain=self._telling.in_vain,
            dropped=self._dropped,
        )
        self._secure = self._make_secure_part(noise)
        self._replies = Replies(
            client_state,
            self._delivery,
            self._fetching,
            arrived=self._secure.arrived,
            decided=self._decided,
            forgotten=self._look,
        )
        # What is done with it.
        self._handover = Handover(
            on_model, files, ended=self._handed_over, remark=self._telling.remark
        )
        self._worker = RoundWorker(
            settings,
            client_state,
            examples=examples,
            engines=engines,
            worker=loop.worker("training"),
            ended=self._worked,
        )

    def _make_connection(self, connect: Callable[..., Connection]) -> Connection:
        name, membership = self._settings.name, self._membership
        return connect(
            self._settings.broker,
            name,
            identifier=self._topics.identifier(name),
            subscriptions=self._messages.words,
            will=(self._topics.presence(name), Presence(state="offline").encode()),
            sign=membership and membership.sign,
            on_message=self._messages.arrived,
            on_change=lambda *change: self._loop.put(partial(self._change, *change)),
            on_room=lambda: self._loop.put(self._delivery.go_on),
            if_unknown=membership.if_shut_out if membership else "",
        )

    def _make_readiness(
        self, keys: Callable[[], Sequence[int]], why_not: Callable[..., str | None]
    ) -> Readiness:
        return Readiness(
            self._settings,
            keys=keys,
            learned=lambda: self._client_state.learned,
            say=self._say_presence,
            why_not=why_not,
            clock=self._loop.clock,
        )

    def _make_secure_part(self, noise: Draw) -> SecurePart:
        requests = self._topics.requests(self._connection.name)
        return SecurePart(
            self._membership,
            self._settings.terms,
            self._client_state,
            loop=self._loop,
            worker=self._files,
            say=lambda word: self._connection.publish(requests, word, wait=False),
            remark=self._telling.in_vain,
            masked=self._look,
            noise=noise,
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
            self._loop.run(self._full)
        finally:
            self._worker.give_up()
            with suppress(StorageError):  # it cannot be signed; the will says the same
                self._say_presence(Presence(state="offline"))
            self._connection.close()
            self._loop.close()
            self._fetching.close()

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from any thread, and in a signal's handler."""
        self._worker.give_up()
        self._loop.stop()

    def examples_changed(self) -> None:
        """Learn that there are other examples; may be called from any thread."""
        self._loop.put(self._worker.changed)
        self._loop.put(self._look)

    def _full(self, error: StorageError) -> None:
        """Say that the disk is full, once however many chunks find it so; try again later."""
        if self._try_again.at is None:
            log.error("%s", error.awaited)
        self._telling.tell("troubled", error.problem)
        self._try_again.within(AGAIN)

    # ------------------------------------------------------------------ the network

    def _change(self, connected: bool, sentence: str) -> None:  # noqa: FBT001 -- Connection's call
        if refused := self._connection.refused:
            raise BrokerError(refused.problem, refused.remedy)
        log.info(sentence)
        if not connected:
            self._telling.tell("away", sentence)
            return
        self._telling.tell("waiting", "")
        self._readiness.say_again()
        self._look()
        self._fetching.restart()
        self._delivery.restart()
        self._secure.say_again()

    def _look(self) -> None:
        """Look whether this device would train; say so, if what it said last is so no more."""
        self._readiness.look(training=self._worker.on is not None)
        if not self._readiness.trains:
            self._worker.give_up()  # it goes on from there when it may
        if self._connection.connected:
            self._consider()
        self._telling.note(self._readiness.objection)

    def _replied(self, payload: bytes) -> None:
        if not self._secure.hear(payload):
            self._replies.hear(payload)

    def _say_presence(self, presence: Presence) -> bool:
        topic = self._topics.presence(self._connection.name)
        try:  # if it is not sent now, it is said again when the connection is back
            return self._connection.publish(topic, presence.encode(), retain=True, wait=False)
        except StorageError:
            self._loop.later(AGAIN, self._look)
            raise

    # ------------------------------------------------------------------ rounds

    def _announced(self, announcement: Announcement) -> None:
        before = self._round
        announced = AnnouncedRound(announcement, self._connection.name)
        announced.check(self._settings.federation)
        if error := announced.of_another_task(self._settings.task):
            self._round = None
            self._worker.give_up()
            if self._follow(announcement.task):
                self._loop.stop()
                return
            self._telling.tell("troubled", error.message)
            raise error
        self._round = announced
        self._secure.announced(announced)
        if self._client_state.enter(announcement.run) or self._client_state.offer is None:
            self._delivery.end()
        # The aggregator may be another process, or the round over: then it hears of this update.
        self._delivery.restart()
        self._handover.announced()
        self._worker.changed()
        state = announcement.state
        if before is None or (before.key, before.announcement.state) != (announced.key, state):
            log.info("Round %d is %s.", announcement.round, state)
        else:
            self._fetching.restart()  # it may not have heard what it was asked for
        if self._worker.on not in (None, announced.key):
            self._worker.give_up()
        self._delivery.ask_what_counts(announced)
        self._client_state.unlearn(announcement.forgotten or ())
        self._readiness.heed(announcement)
        self._look()

    def _consider(self) -> None:
        """Do what comes next: offer a finished update, fetch a file, or train."""
        announced = self._round
        if announced is None:
            return
        announcement = announced.announcement
        # Here too: a full disk may have prevented it when the announcement came.
        self._client_state.enter(announcement.run)
        if (pending := self._client_state.outgoing) is not None:
            self._telling.tell("sending", "")
            if self._delivery.chunk != announcement.chunk:
                if objection := objection_to(pending, announced, self._settings):
                    self._dropped(pending.offer, objection)
                else:
                    self._delivery.begin(announcement.chunk)
            return
        if announced.invites and self._readiness.objection:
            self._secure.decline(announced)
        mine = announced.invites and self._readiness.trains
        mine &= not self._client_state.is_done(*announced.key)
        files, shortcut = announced.files(training=mine), Shortcut.announced(announcement)
        if not self._fetching.gather(files, announcement.chunk, shortcut):
            self._telling.tell("fetching", "")
            return
        self._handover.give(announced, self._client_state.path)
        # What it trains on is normalised as what it recognises.
        trains = mine and self._handover.has_begun(announced)
        if trains and self._worker.failed:
            self._telling.tell("troubled", self._worker.failed.message)
            return
        self._telling.tell("training" if trains else "waiting", self._readiness.objection)
        if trains and self._worker.on is None and self._secure.takes(announced):
            self._worker.begin(announcement)

    def _handed_over(self, model: str) -> None:
        """Remember the model; train, if that has waited for what statistics begin with."""
        self._client_state.use(model)
        self._consider()

    def _fetched(self, whole: bool) -> None:  # noqa: FBT001 -- Fetching's call
        if whole:
            self._consider()
        else:
            self._try_again.within(PATIENCE)

    def _worked(self, outcome: Outcome) -> None:
        """Learn what came of a round's work."""
        if isinstance(outcome, ChorusError):
            self._telling.remark(outcome)
            self._telling.tell("troubled", outcome.problem)
            if not (isinstance(outcome, StorageError) and outcome.full):
                self._secure.give_up(outcome)  # the others go on without it
            if self._worker.failed is None:
                self._try_again.within(AGAIN)
        elif isinstance(outcome, Trained):
            self._secure.trained(outcome)
        else:
            self._consider()

    def _dropped(self, offer: Offer, why: str) -> None:
        """Learn that the update is not to be sent."""
        log.warning("%s", why)
        if self._round and self._round.key == (offer.run, offer.round):
            self._secure.decline(self._round)
        self._decided(offer, why)

    def _decided(self, offer: Offer, refused: str, *, foreign: bool = False) -> None:
        """Learn what became of the update: it counts, or was refused."""
        if foreign and self._round and self._round.key == (offer.run, offer.round):
            # The aggregator knows nothing of what was announced: it will announce what is so.
            self._round = None
        self._client_state.decide(refused=refused, foreign=foreign)
        self._delivery.end()
        self._telling.tell("waiting", refused)
        if refused and self._round:
            self._delivery.ask_what_counts(self._round)
        leave_after = self._settings.leave_after
        if leave_after and self._client_state.accepted >= leave_after:
            self._loop.stop()
        if not refused:
            # The aggregator takes nothing for new after an update, until it is told again.
            self._readiness.say_again()
        self._look()
