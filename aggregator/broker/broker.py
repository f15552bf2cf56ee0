"""The embedded broker: sessions, and who hears what. All of it runs in one thread.

MQTT 3.1.1 with clean sessions and quality of service 0 and 1. Nothing is sent again: within a
connection TCP keeps what was sent, and after it nothing of it counts.

Whatever a client does costs a bounded amount of memory. Who cannot be served within the bounds is
cut off; the federation's protocol begins anew after each break.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from aggregator.broker.accounts import Accounts, Pass
from aggregator.broker.bounds import (
    CONNECT_SECONDS,
    LARGEST_CONNECT,
    LONGEST_KEEPALIVE,
    LOOK_SECONDS,
    MOST_HELD,
    MOST_SESSIONS,
    MOST_STRANGERS,
    MOST_WAITING,
    STUCK_SECONDS,
)
from aggregator.broker.packets import (
    LONGEST_TOPIC,
    MOST_FILTERS,
    Kind,
    MalformedPacketError,
    Message,
    Packet,
    decode_connect,
    decode_filters,
    decode_publish,
    encode,
    matches,
    take,
)
from aggregator.broker.retained import Retained
from aggregator.broker.subscribers import Subscribers
from shared.errors import ChorusError

log = logging.getLogger(__name__)

_NUMBERS: Final = 65_535

_NOT_AUTHORISED: Final = 5
"""Return code of a CONNACK (3.2.2.3)."""

_FAILURE: Final = 0x80
"""Return code of a SUBACK (3.9.3)."""


class Broker:
    """All sessions of one broker.

    Parameters
    ----------
    largest
        Bytes that a message may have.
    clock
        Seconds, from any beginning.
    accounts
        Who may use it, and for what; everybody for everything, if not given.
    """

    def __init__(
        self,
        largest: int,
        clock: Callable[[], float] = time.monotonic,
        accounts: Accounts | None = None,
    ) -> None:
        self.clock = clock
        self.accounts = accounts
        self.largest = largest + LONGEST_TOPIC + 4
        self.retained = Retained()
        self.sessions: dict[str, Session] = {}
        self.strangers: dict[Session, None] = {}
        self.held = 0
        self._wills: deque[tuple[Message, str]] = deque()
        self._telling = self._making_room = False
        self._subscribers = Subscribers[Session]()

    async def serve(self) -> None:
        """Look after time and memory, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            changed = self.accounts and self.accounts.changed()
            for session in [*self.strangers, *self.sessions.values()]:
                session.look()
                if changed:
                    session.look_at_account()

    def come(self, session: "Session") -> None:
        """Take note of a connection that has said nothing yet."""
        if len(self.strangers) >= MOST_STRANGERS:
            next(iter(self.strangers)).cut()
        self.strangers[session] = None

    def enter(self, session: "Session") -> bool:
        """Take in a client, and cut off an older one of its identifier; say if there is room."""
        if older := self.sessions.get(session.identifier):
            older.cut()
        if len(self.sessions) >= MOST_SESSIONS:
            return False
        self.strangers.pop(session, None)
        self.sessions[session.identifier] = session
        return True

    def leave(self, session: "Session") -> None:
        """Forget a connection."""
        self.strangers.pop(session, None)
        if self.sessions.get(session.identifier) is session:
            del self.sessions[session.identifier]
        for name in list(session.filters):
            self.unsubscribe(session, name)

    def subscribe(self, session: "Session", name: str, qos: int) -> None:
        """Let a client hear a topic, or those of a filter."""
        self._subscribers.add(session, name, qos)
        session.filters.add(name)

    def unsubscribe(self, session: "Session", name: str) -> None:
        """Let a client no longer hear a topic, or those of a filter."""
        session.filters.discard(name)
        self._subscribers.remove(session, name)

    def publish(self, message: Message, writer: str) -> None:
        """Send a message to those who hear its topic, once to each; keep what is to be kept."""
        if message.retain:
            self.retained.put(message, writer)
        chunk = message.encode(0, 0, retain=False)
        for session, qos in self._subscribers.of(message.topic).items():
            if min(qos, message.qos):
                session.send(message.encode(1, session.number(), retain=False))
            else:
                session.send(chunk, may_be_lost=True)

    def tell(self, will: Message, writer: str) -> None:
        """Publish the will of a client that is lost, after those that are on their way."""
        self._wills.append((will, writer))
        self._tell_all()

    def _tell_all(self) -> None:
        """Publish the wills that wait; one may cut off the next client, and so on."""
        if self._telling or self._making_room:
            return  # whoever does that tells these, too
        self._telling = True
        try:
            while self._wills:
                self.publish(*self._wills.popleft())
        finally:
            self._telling = False

    def send_retained(self, session: "Session", name: str, qos: int) -> None:
        """Send a new subscriber what is kept."""
        if "+" in name or "#" in name:
            pattern = name.split("/")
            kept = [each for each in self.retained if matches(pattern, each.topic.split("/"))]
        else:
            only = self.retained.get(name)
            kept = [only] if only else []
        for message in kept:
            least = min(qos, message.qos)
            session.send(message.encode(least, session.number() if least else 0, retain=True))

    def hold(self, more: int) -> None:
        """Take note of bytes that are held, or (if negative) no longer; keep within the bound."""
        self.held += more
        if self.held <= MOST_HELD or self._making_room:
            return
        self._making_room = True  # what is counted meanwhile comes back here
        try:
            self._make_room()
        finally:
            self._making_room = False
        self._tell_all()

    def _make_room(self) -> None:
        everybody = [*self.strangers, *self.sessions.values()]
        for session in everybody:
            session.count()  # what has gone out meanwhile
        while self.held > MOST_HELD and everybody:
            fullest = max(everybody, key=lambda each: each.held)
            fullest.cut()
            everybody.remove(fullest)


class Session(asyncio.Protocol):
    """One connection, and the client behind it.

    Parameters
    ----------
    broker
        What it is a session of.

    Attributes
    ----------
    identifier
        The client's; empty before its CONNECT.
    filters
        What it hears.
    held
        Bytes that wait for it, or have come from it and are no whole packet, when they were last
        counted.
    """

    def __init__(self, broker: Broker) -> None:
        self.identifier = ""
        self.filters: set[str] = set()
        self.held = 0
        self._broker = broker
        self._come = bytearray()
        self._transport: asyncio.Transport
        self._will: Message | None = None
        self._numbers = itertools.cycle(range(1, _NUMBERS + 1))
        self._patience = CONNECT_SECONDS
        self._heard_at = self._moved_at = broker.clock()
        self._sent = self._taken = 0
        self._over = False
        self._pass: Pass | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: a connection has come."""
        self._transport = cast("asyncio.Transport", transport)
        self._broker.come(self)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        self._come += data
        try:
            while not self._over and (packet := take(self._come, self._largest)):
                self._heard_at = self._broker.clock()
                self._handle(packet)
        except MalformedPacketError:
            self.cut()
        except ChorusError as error:  # of the accounts: whoever comes later is looked up again
            log.error("%s", error.message)  # noqa: TRY400 -- the user can put it right
            self.cut()
        self.count()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's call
        """End: the connection is over."""
        self.cut()

    def number(self) -> int:
        """Give the next packet identifier."""
        return next(self._numbers)

    def send(self, packet: bytes, *, may_be_lost: bool = False) -> None:
        """Send a packet as soon as the client takes it, if there is room for it to wait."""
        if self._over:
            return
        if self._transport.is_closing():  # the line broke; asyncio would log each further packet
            self.cut()
            return
        if self._transport.get_write_buffer_size() + len(packet) > MOST_WAITING:
            if not may_be_lost:
                self.cut()
            return
        self._transport.write(packet)
        self._sent += len(packet)
        self.count()

    def count(self) -> None:
        """Count what is held."""
        waiting = 0 if self._over else self._transport.get_write_buffer_size()
        held, before = waiting + len(self._come), self.held
        self.held = held
        if held != before:
            self._broker.hold(held - before)

    def look(self) -> None:
        """Cut the connection off if the client is lost, or takes nothing."""
        now = self._broker.clock()
        self.count()
        waiting = self._transport.get_write_buffer_size()
        taken = self._sent - waiting
        if taken != self._taken or not waiting:
            self._taken, self._moved_at = taken, now
        if now > self._heard_at + self._patience or now > self._moved_at + STUCK_SECONDS:
            self.cut()

    def look_at_account(self) -> None:
        """Cut the connection off if its account is gone, or has another password."""
        accounts = self._broker.accounts
        if accounts and self._pass and not accounts.holds(self._pass):
            self.cut()

    def cut(self, *, abruptly: bool = True) -> None:
        """End the connection; others hear the client's will.

        Parameters
        ----------
        abruptly
            Whether what waits for the client is lost.
        """
        if self._over:
            return
        self._over = True
        (self._transport.abort if abruptly else self._transport.close)()
        self._come.clear()
        self.count()
        self._broker.leave(self)
        if will := self._will:
            self._broker.tell(will, self.identifier)

    @property
    def _largest(self) -> int:
        return self._broker.largest if self.identifier else LARGEST_CONNECT

    def _handle(self, packet: Packet) -> None:
        if bool(self.identifier) == (packet.kind == Kind.CONNECT):
            raise MalformedPacketError("CONNECT is not the first packet, or not the only one")
        match packet.kind:
            case Kind.CONNECT:
                self._connect(packet.body)
            case Kind.PUBLISH:
                self._publish(packet)
            case Kind.SUBSCRIBE:
                self._subscribe(packet.body)
            case Kind.UNSUBSCRIBE:
                self._unsubscribe(packet.body)
            case Kind.PINGREQ:
                self.send(encode(Kind.PINGRESP))
            case Kind.PUBACK:
                pass  # nothing is sent again
            case Kind.DISCONNECT:
                self._will = None
                self.cut()
            case _:
                raise MalformedPacketError("what only a broker says")

    def _connect(self, body: bytes) -> None:
        connect = decode_connect(body)
        if not connect.speaks:
            self._refuse(1)
            return
        identifier, will = connect.identifier, connect.will
        if accounts := self._broker.accounts:
            self._pass = accounts.admit(connect.username, connect.password)
            if self._pass is None:
                self._refuse(_NOT_AUTHORISED)
                return
            # Nobody takes the place of another one's connection.
            identifier = connect.username
            will = will if will and self._pass.may_write(will.topic) else None
        self.identifier = identifier or f"unnamed {id(self)}"
        if not self._broker.enter(self):
            self._refuse(3)
            return
        self._will = will
        longest = min(connect.keepalive or LONGEST_KEEPALIVE, LONGEST_KEEPALIVE)
        self._patience = 1.5 * longest  # (3.1.2.10)
        self.send(encode(Kind.CONNACK, bytes([0, 0])))

    def _refuse(self, code: int) -> None:
        """Say why this client is not let in (3.2.2.3)."""
        self.send(encode(Kind.CONNACK, bytes([0, code])))
        self.cut(abruptly=False)

    def _publish(self, packet: Packet) -> None:
        message, number = decode_publish(packet.flags, packet.body)
        # What it has no right to goes nowhere, and MQTT 3.1.1 has no way to say so.
        if self._pass is None or self._pass.may_write(message.topic):
            self._broker.publish(message, self.identifier)
        if message.qos:
            self.send(encode(Kind.PUBACK, number.to_bytes(2)))

    def _subscribe(self, body: bytes) -> None:
        number, filters = decode_filters(body, qualities=True)
        if len(self.filters | filters.keys()) > MOST_FILTERS:
            raise MalformedPacketError("too many filters")
        allowed = {
            name: qos
            for name, qos in filters.items()
            if self._pass is None or self._pass.may_read(name)
        }
        for name, qos in allowed.items():
            self._broker.subscribe(self, name, qos)
        codes = bytes(allowed.get(name, _FAILURE) for name in filters)
        self.send(encode(Kind.SUBACK, number.to_bytes(2) + codes))
        for name, qos in allowed.items():
            self._broker.send_retained(self, name, qos)

    def _unsubscribe(self, body: bytes) -> None:
        number, filters = decode_filters(body, qualities=False)
        for name in filters:
            self._broker.unsubscribe(self, name)
        self.send(encode(Kind.UNSUBACK, number.to_bytes(2)))
