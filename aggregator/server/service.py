"""The aggregator at work: what the network, the rounds and the disk bring, and what follows.

The service stands on a :class:`shared.loop.Loop`: every rule runs in its thread, in one order. The
network's thread puts messages into the loop's queue, but for the chunks of updates, which it writes
to their files; what waits for the disk, for the network, and long arithmetic, run in workers.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from aggregator.enrolment.entrance import Entrance
from aggregator.enrolment.members import Members
from aggregator.enrolment.mosquitto import RESPONSE
from aggregator.ledger import Version
from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Step
from aggregator.server.announcer import Announcer
from aggregator.server.attendance import Attendance
from aggregator.server.contradiction import Contradiction
from aggregator.server.course import Course
from aggregator.server.echo import Echo
from aggregator.server.farewell import Farewell
from aggregator.server.flood_gate import AT_THE_DOOR, QUALITY, FloodGate
from aggregator.server.probe import Probe
from aggregator.server.receiving import Receiving
from aggregator.server.rejections import Rejections
from aggregator.server.rival import Rival
from aggregator.server.secure_stages import SecureStages
from aggregator.server.sending import Sending
from aggregator.server.speech import Speech
from aggregator.server.steering import Steering
from shared.errors import BrokerError, ProtocolError, StorageError
from shared.loop import Action, Loop
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection
from shared.protocol.fields import Successor
from shared.protocol.frames import OVERHEAD
from shared.protocol.messages import (
    Offer,
    Presence,
    Refused,
    Want,
    decode_request,
    offered_update,
)
from shared.protocol.topics import Topics, aggregator_name

log = logging.getLogger(__name__)

STORAGE_RETRY: Final = 10.0
"""Seconds until something is tried again that a full disk has prevented."""

_SAY_AGAIN: Final = 1.0
"""Seconds between two sentences on who is online: five hundred devices come one after the other."""


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
    members
        Who may take part, in a federation by invitation; everybody, if not given.
    loop
        What it stands on; one of its own if not given.
    connect
        Makes the connection to the broker.

    Attributes
    ----------
    steering
        What a person may order while it runs.
    """

    def __init__(
        self,
        federation: Federation,
        broker: BrokerSettings,
        *,
        on_round: Callable[[int, Version | None], None] = lambda *_: None,
        on_change: Callable[[], None] = lambda: None,
        members: Members | None = None,
        loop: Loop | None = None,
        connect: Callable[..., Connection] = Connection,
    ) -> None:
        topics = Topics(federation.settings.federation)
        self._federation = federation
        self._rounds = rounds = federation.rounds
        self._on_change = on_change
        self._loop = loop = loop or Loop()
        self._topics = topics
        self._arithmetic = loop.worker("arithmetic")
        self._speech = speech = Speech(topics)
        self._rejections = Rejections()
        # What devices send, and what is sent to them.
        self._stages = self._make_stages(members) if members and federation.secure else None
        self._receiving = self._make_receiving()
        self._attendance = Attendance(federation, self._rejections, loop, self._follow)
        self._sending = self._make_sending()
        # What becomes of rounds.
        renewed = partial(_renewed, members) if members else dict
        self._announcer = Announcer(federation, speech.announce, loop.clock, renewed)
        self._farewell = Farewell(lambda: rounds.ready, loop.clock)
        self._course = self._make_course(on_round)
        self.steering = Steering(loop, self._course)
        self._forever = False
        self._announce_again = loop.deadline(self._announce)
        self._say = loop.deadline(self._say_change)
        self._said_at = -_SAY_AGAIN
        loop.watch(lambda: rounds.wake_at, self._course.deadline_passed)
        self._echo = Echo(loop, lambda: self._connection.subscribe(topics.round), topics.round)
        self._contradiction = Contradiction(
            self._announcer, loop, self._announce, self._echo.arrived, topics.round
        )
        loop.watch(lambda: self._leave_at, loop.stop)
        # The network, and who comes in from there.
        self._entrance = self._make_entrance(members) if members else None
        own = [topics.round, *(self._entrance.hears if self._entrance else ())]
        kinds = {**QUALITY, **(AT_THE_DOOR if self._entrance else {})}  # what clients say
        told = [*own, *(topics.of_client("+", kind) for kind in kinds if kinds[kind])]
        self._connection = speech.connection = self._make_connection(connect, broker, told)
        self._gate = FloodGate(
            topics, loop, self._rejections, self._connection, [*own, topics.probe], kinds
        )
        self._probe = Probe(loop, federation.settings.chunk + OVERHEAD, speech.probe)
        self._rival = Rival(federation.settings.federation, loop, speech.probe, self._begin)

    def _make_stages(self, members: Members) -> SecureStages:
        def give_up(reason: str, *, known: bool = False) -> None:
            self._course.give_up(reason, known=known)

        return SecureStages(
            self._federation,
            lambda: {name: member.key for name, member in members.joined().items()},
            loop=self._loop,
            worker=self._arithmetic,
            tell=self._speech.tell,
            reply=self._speech.reply,
            reject=self._rejections.about,
            done=lambda survivors: self._follow(self._rounds.close(survivors)),
            given_up=give_up,
            later=self._later,
        )

    def _make_receiving(self) -> Receiving:
        return Receiving(
            self._federation,
            self._rejections,
            loop=self._loop,
            arithmetic=self._arithmetic,
            reply=self._speech.reply,
            counted=self._follow,
            later=self._later,
            stages=self._stages,
        )

    def _make_sending(self) -> Sending:
        return Sending(
            self._federation,
            self._rejections,
            loop=self._loop,
            publish=self._speech.chunk,
            reply=self._speech.reply,
            attendance=self._attendance,
        )

    def _make_course(self, on_round: Callable[[int, Version | None], None]) -> Course:
        return Course(
            self._federation,
            receiving=self._receiving,
            sending=self._sending,
            attendance=self._attendance,
            rejections=self._rejections,
            farewell=self._farewell,
            stages=self._stages,
            loop=self._loop,
            arithmetic=self._arithmetic,
            announce=self._announce,
            changed=self._changed,
            later=self._later,
            on_round=on_round,
        )

    def _make_entrance(self, members: Members) -> Entrance:
        return Entrance(
            members,
            self._topics,
            self._federation.voice,
            loop=self._loop,
            reject=self._rejections.about,
            answer=self._speech.answer,
            tell_broker=self._speech.to_broker,
            announce=self._announce,
            gone=self._course.shut_out,
        )

    def _make_connection(
        self, connect: Callable[..., Connection], broker: BrokerSettings, told: Sequence[str]
    ) -> Connection:
        name = aggregator_name(self._federation.settings.federation)
        return connect(
            broker,
            name,
            identifier=self._topics.identifier(name),
            subscriptions=told,
            unacknowledged=[self._topics.chunks("+"), self._topics.probe],
            sign=self._federation.voice.sign,
            on_message=self._arrived,
            on_change=lambda *change: self._loop.put(partial(self._change, *change)),
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
        self._sending.serve()
        # Before anything that the network brings.
        self._loop.put(lambda: self._follow(self._rounds.start(self._loop.clock())))
        if entrance := self._entrance:
            self._loop.put(lambda: entrance.begin(self._rounds.invited))
        self._loop.put(self._changed)
        self._connection.start()
        try:
            self._loop.run(_say_full)
        finally:
            self._connection.close()
            self._loop.close()
            self._sending.close()
            self._receiving.close()
            if self._entrance:
                self._entrance.close()

    def stop(self) -> None:
        """End :meth:`run` soon; may be called from any thread, and in a signal's handler."""
        self._loop.stop()

    @property
    def _leave_at(self) -> float | None:
        """When to end by itself; ``None``: not as things are."""
        # An earlier process may have been killed before it could tell that the last round ended.
        told = self._rounds.phase == "finished" and self._announcer.told_end
        return self._farewell.leave_at if told and not self._forever else None

    def _follow(self, step: Step) -> None:
        """Do what the rules of rounds have just decided."""
        self._course.follow(step)

    def _changed(self) -> None:
        """Take note that there is something new to say."""
        self._say.within(max(0.0, self._said_at + _SAY_AGAIN - self._loop.clock()))

    def _say_change(self) -> None:
        self._said_at = self._loop.clock()
        self._on_change()

    def _later(self, what: Action) -> None:
        """Do something again after a while."""
        self._loop.later(STORAGE_RETRY, what)

    # ------------------------------------------------------------------ the network

    def _change(self, connected: bool, sentence: str) -> None:  # noqa: FBT001 -- Connection's call
        log.info(sentence)
        if refused := self._connection.refused:
            raise BrokerError(refused.problem, refused.remedy)
        if not connected:
            self._rival.lost()
            self._probe.lost()
            self._echo.lost()
        elif self._rival.serves:
            self._connected()
        else:
            self._rival.connected()
        self._changed()

    def _begin(self, presences: Mapping[str, bytes]) -> None:
        """Begin to serve: nobody else does."""
        self._connected()
        for client, payload in presences.items():
            # One may open a round that finds the disk full; the others are there all the same.
            _say_if_full(partial(self._message, client, "presence", payload))

    def _connected(self) -> None:
        self._sending.connected()
        # Who is there the broker tells now; it may have lost wills while it was away.
        self._rounds.present.forget()
        self._farewell.connected()
        if self._entrance:
            self._entrance.connected()
        self._announce()
        self._probe.connected()
        _say_if_full(self._federation.ledger.forget_present)

    def _arrived(self, topic: str, payload: bytes) -> None:
        """Take a message from the network's thread; a flood is cut off, as a network does it."""
        if topic == self._topics.probe:
            self._loop.message(topic, payload, partial(self._heard_itself, payload))
            return
        if topic == self._topics.round:
            self._loop.message(topic, payload, partial(self._announced, payload))
            return
        if self._entrance and topic == RESPONSE:
            hear = partial(self._entrance.hear_broker, payload)
            self._loop.message(topic, payload, hear)
            return
        client, kind = self._topics.client_of(topic) or ("", "")
        if not self._rival.serves:
            if kind == "presence":
                self._loop.message(client, payload, partial(self._message, client, kind, payload))
        elif kind == "chunks":
            if self._receiving.chunk(client, payload):
                self._connection.progressed()
            else:
                self._gate.leave_aside(client, kind)
        elif not client:
            self._gate.leave_aside(client, kind)
        elif self._gate.lets_in(client, kind, len(payload)):
            self._loop.message(client, payload, partial(self._message, client, kind, payload))

    def _heard_itself(self, payload: bytes) -> None:
        self._rival.hear(payload)
        self._probe.arrived(payload)

    def _announced(self, payload: bytes) -> None:
        self._rival.announced(payload)
        self._contradiction.hear(self._federation.voice.recognised(self._topics.round, payload))

    def _message(self, client: str, kind: str, payload: bytes) -> None:
        if not self._rival.serves:
            self._rival.hold(client, payload)
            return
        if self._entrance and payload and not self._entrance.lets_pass(client, kind, payload):
            return
        try:
            if kind == "requests" and self._stages and self._stages.hear(client, payload):
                return
            if kind == "requests":
                self._request(client, decode_request(payload))
            elif kind == "presence" and payload:
                self._presence(client, Presence.decode(payload))
        except ProtocolError as error:
            self._rejections.about(client, error.problem)
            if kind == "requests" and (update := offered_update(payload)):
                # Else its client would offer it for ever.
                sentence = error.problem[:500]
                self._speech.reply(
                    client, Refused(update=update, reason="invalid", sentence=sentence)
                )

    def _request(self, client: str, request: Offer | Want) -> None:
        if isinstance(request, Want):
            self._farewell.asked()
            self._sending.want(client, request)
        elif not self._course.unwritten:
            # Else nobody was told of this round yet: an honest client will offer it again.
            self._receiving.offer(client, request)

    def _presence(self, client: str, presence: Presence) -> None:
        self._attendance.take(client, presence)
        if presence.state != "online":
            self._receiving.suspend(client)
        self._changed()

    def _announce(self) -> None:
        """Tell everybody where the federation stands; again whenever the connection is back."""
        # No update can count in a round that the ledger does not have.
        if self._course.unwritten or not self._rival.serves:
            return
        if self._announcer.announce():
            self._echo.announced()
        elif self._connection.connected:
            self._announce_again.within(STORAGE_RETRY)


def _renewed(members: Members) -> Mapping[str, Sequence[Successor]]:
    return {name: member.succession for name, member in members.joined().items()}


def _say_if_full(do: Action) -> None:
    """Do something that a full disk may prevent, and that is then done later by itself."""
    try:
        do()
    except StorageError as error:
        _say_full(error)


def _say_full(error: StorageError) -> None:
    log.error("%s", error.awaited)
