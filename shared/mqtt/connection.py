"""The connection to the MQTT broker: kept up for ever, with bounded memory.

MQTT 5, or 3.1.1 where the broker has no other, with a clean session: after a break nothing is left
of the old connection, neither here nor at the broker. What was not acknowledged is sent again by
the protocol above, which knows what still matters.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from shared.errors import BrokerError
from shared.mqtt import socket_options
from shared.mqtt.arrivals import Arrivals
from shared.mqtt.backoff import Backoff
from shared.mqtt.bounded_client import LARGEST_PACKET, BoundedClient
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.outbox import Outbox
from shared.mqtt.paho_client import keep_within, new_client, username_of
from shared.mqtt.subscriptions import Subscriptions
from shared.mqtt.troubles import (
    GIVE_OTHERS,
    Trouble,
    ended,
    garbled,
    keeps_nothing,
    left,
    lost,
    refused,
    too_much,
    unacknowledged,
    unpublishable,
    unreachable,
    unsubscribable,
)
from shared.mqtt.version import Version

log = logging.getLogger(__name__)

UNACKNOWLEDGED: Final = 60.0
"""Seconds that the broker has for an acknowledgement. Before the message the system may hold half a
megabyte, which takes as long on a line of 64 kbit/s."""

_CLOSE_TIMEOUT: Final = 3.0
"""Seconds that :meth:`Connection.close` waits for what is under way: on a slow line it is chunks,
which are sent again another time."""

_LEAVE_TIMEOUT: Final = 1.0
"""Seconds that taking leave may take after that; the broker then finds out by itself."""


class Connection:
    """A connection to the broker that comes back by itself.

    All callbacks come from one thread, the network thread. They should return soon: while they
    run nothing is received, so the broker holds (and at last drops) what it has for this client.

    Parameters
    ----------
    settings
        Where the broker is.
    name
        The client's name.
    subscriptions
        Topics or topic filters to begin with.
    unacknowledged
        Further ones, whose messages the broker shall not wait for acknowledgements of (QoS 0):
        what is lost of them is asked for again by those who speak.
    will
        Topic and payload that the broker publishes, retained, if this client is lost without
        :meth:`close`.
    sign
        Signs a message in words for a topic, and gives what travels: all that is published with
        QoS 1, and the will, anew for each connection.
    identifier
        Its MQTT identifier, the name if not given; and its user name if the settings give a
        password and none. A broker ends the older of two connections of
        one identifier.
    on_message
        Called with topic and payload, only while connected. What it raises is logged and ends
        nothing.
    on_change
        Called with ``True`` when the broker has acknowledged all subscriptions, with ``False``
        when the connection is lost or an attempt fails for another reason than the one before;
        and with a sentence for the log.
    on_room
        Called when :meth:`has_room` has said no, and half of what was under way has gone out.
    backoff
        How long to wait between attempts.
    patience
        Seconds that the broker has to acknowledge a message, or this client, before the connection
        begins anew; :data:`UNACKNOWLEDGED` if not given.
    if_unknown
        What to do where the broker does not know the user, or this password; to give others, if
        nothing else is said.

    Attributes
    ----------
    refused
        Why the broker does not let this client in, for what retrying cannot fix; then the
        network thread has ended, and ``on_change`` was called a last time. Only an attempt before
        the first success ends so: what is wrong then was probably typed wrong. Once it has
        worked, a broker may refuse for a while (its passwords are being reloaded) and is retried.
    """

    def __init__(  # noqa: PLR0913 -- most are the other side's functions
        self,
        settings: BrokerSettings,
        name: str,
        *,
        subscriptions: Sequence[str],
        unacknowledged: Sequence[str] = (),
        will: tuple[str, bytes] | None = None,
        sign: Callable[[str, bytes], bytes] | None = None,
        identifier: str | None = None,
        on_message: Callable[[str, bytes], None],
        on_change: Callable[[bool, str], None],
        on_room: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
        patience: float | None = None,
        if_unknown: str = "",
    ) -> None:
        self.settings = settings
        self.name = name
        self._identifier = identifier or name
        self.refused: BrokerError | None = None
        self._will = will
        self._on_change = on_change
        self._on_room = on_room
        self._backoff = backoff or Backoff()
        self._patience = UNACKNOWLEDGED if patience is None else patience
        self._if_unknown = if_unknown or GIVE_OTHERS
        self._subscriptions = Subscriptions(
            dict.fromkeys(subscriptions, 1) | dict.fromkeys(unacknowledged, 0)
        )
        self._arrivals = Arrivals(self._subscriptions, on_message)
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)
        self._closing = threading.Event()
        self._worked = False
        self._told = ""
        self._version = Version()
        self._outbox = Outbox(sign)
        self._client: mqtt.Client | None = None
        self._trouble: Trouble | None = None
        # Of the present connection, for the network thread alone.
        self._first_subscribe: int | None = None
        self._refusals: set[int] = set()

    def start(self) -> None:
        """Begin to connect, in the network thread; a broker that is away is waited for.

        Raises
        ------
        BrokerError
            If a password or certificate file cannot be used.
        """
        self._new_client()
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the broker has acknowledged this client and all it subscribed to at first."""
        return self._outbox.is_open

    @property
    def busy(self) -> bool:
        """Whether something is on its way to the broker."""
        return self._outbox.under_way > 0

    def progressed(self) -> None:
        """Learn that a transfer gets on: if the line breaks now, it is tried again soon.

        Said by those who send and receive files: a client that is thrown out again and again is
        connected, and hears what the broker keeps for it, each time too.
        """
        self._backoff.progressed()

    def has_room(self, size: int) -> bool:
        """Say whether so many bytes may be published now by who sends much and does not wait.

        If not, ``on_room`` is called when it is worth asking again.
        """
        return self._outbox.has_room(size)

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, wait: bool = True
    ) -> bool:
        """Hand a message to the broker.

        While ``OUT_BYTES`` are under way, the caller waits for room: whoever sends a large file is
        slowed down to the broker's pace, and memory stays bounded. In a callback, and without
        ``wait``, nobody waits, and there is as much room again for answers.

        Returns
        -------
        bool
            ``False`` if there is no connection, it was lost meanwhile, or (where nobody waits)
            there is no room: then the message is not sent, now or later. ``True`` promises its
            arrival only while the connection lasts.

        Raises
        ------
        StorageError
            If it is to be signed and the disk is full.
        """
        wait = wait and threading.current_thread() is not self._thread
        return self._outbox.publish(topic, payload, qos=qos, retain=retain, wait=wait)

    def subscribe(self, topic: str, *, qos: int = 1) -> None:
        """Receive a topic from now on, over all reconnections."""
        self._subscriptions.add(topic, qos)
        if client := self._client:
            client.subscribe(topic, qos)

    def unsubscribe(self, topic: str) -> None:
        """Receive a topic no longer."""
        self._subscriptions.remove(topic)
        if client := self._client:
            client.unsubscribe(topic)

    def begin_anew(self, subscriptions: Mapping[str, int]) -> None:
        """Leave the broker and come back soon; it then tells again all that it keeps.

        For who has reason to think that messages were dropped on their way here.

        Parameters
        ----------
        subscriptions
            Topics or topic filters from now on, each with its quality of service.
        """
        self._backoff.progressed()
        self._subscriptions.replace(subscriptions)
        if (client := self._client) and (sock := client.socket()) is not None:
            self._trouble = left(self.settings)
            socket_options.shut_down(sock)

    def close(self) -> None:
        """Wait, bounded, until all that was published is acknowledged; then take leave.

        Taking leave keeps the broker from publishing the will: publish what it says before, if
        it should be known. Not to be called in a callback.
        """
        self._outbox.wait_until_empty(_CLOSE_TIMEOUT)
        self._closing.set()
        if client := self._client:
            client.disconnect()
        if self._thread.ident is not None:
            # It may be waiting for a host or a line that does not move: that ends with the process.
            self._thread.join(_LEAVE_TIMEOUT)

    def _run(self) -> None:
        while not self._closing.is_set():
            trouble = self._one_connection()
            if self._closing.is_set():
                return
            if self._version.gives_way(trouble):
                continue
            if trouble.lasting and not self._worked:
                self.refused = trouble.error
            if (sentence := trouble.error.message) != self._told:
                self._tell(sentence, connected=False)
            if self.refused:
                return
            self._closing.wait(self._backoff.next())

    def _one_connection(self) -> Trouble:
        """Connect once, and stay until it is over; say why."""
        self._trouble = None
        self._arrivals.drop()
        self._refusals = set()
        began = time.monotonic()
        try:
            client = self._new_client()
            client.connect(*self.settings.address, keepalive=self.settings.keepalive)
        except BrokerError as error:
            return Trouble(error)
        except (OSError, ValueError) as error:
            return unreachable(self.settings, error)
        try:
            look = min(self.settings.keepalive / 4, self._patience / 2)
            result = client.loop(look)
            while not self._gives_up(client, began) and result == mqtt.MQTT_ERR_SUCCESS:
                socket_options.acknowledge_at_once(client.socket())
                result = client.loop(look)
            if result == mqtt.MQTT_ERR_PROTOCOL and self.connected and self._version.is_5:
                self._version.step_down()
                self._trouble = garbled(self.settings)
        except Exception:  # whatever a broker sends must not end the thread
            log.exception("The connection failed in a way that it should not.")
        finally:
            self._client = None
            was_connected = self._outbox.close()  # with all that was under way
        return self._trouble or lost(
            self.settings,
            self.name,
            was_connected=was_connected,
            again=self._backoff.lost_again,
            worked=self._worked,
            largest=self._outbox.largest,
        )

    def _gives_up(self, client: BoundedClient, began: float) -> bool:
        """Say whether the broker acknowledges no more, or sends too much; then close the line.

        Without leave, so that it takes this client for lost, and tells the others.
        """
        waited = 0.0 if self.connected else time.monotonic() - began
        if waited > self._patience or self._outbox.overdue(self._patience):
            self._trouble = unacknowledged(self.settings)
        elif max(client.incoming, self._arrivals.held_back) > LARGEST_PACKET:
            self._trouble = too_much(self.settings)
        else:
            return False
        if sock := client.socket():
            sock.close()
        return True

    def _new_client(self) -> BoundedClient:
        """Prepare one connection, with the will signed anew."""
        client = new_client(self.settings, self._identifier, self._version)
        if self._will and (will := self._outbox.signed(*self._will)):
            client.will_set(self._will[0], will, qos=1, retain=True)
        client.on_connect = self._acknowledged
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_publish = self._published
        client.on_disconnect = self._ended
        return client

    @property
    def _username(self) -> str | None:
        return username_of(self.settings, self._identifier)

    def _acknowledged(
        self, client: mqtt.Client, _: Any, __: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._trouble = refused(self.settings, self._username, code, self._if_unknown)
            return
        if not getattr(properties, "RetainAvailable", True):
            self._trouble = keeps_nothing(self.settings)
            client.disconnect()
            return
        keep_within(client, properties)
        # From here on, other threads subscribe by themselves what they add.
        self._client = client
        if self._closing.is_set():
            client.disconnect()
        elif topics := self._subscriptions.items():
            _, self._first_subscribe = client.subscribe(topics)
        else:
            self._ready(client)

    def _subscribed(
        self, client: mqtt.Client, _: Any, mid: int, codes: list[ReasonCode], ___: Any
    ) -> None:
        refusal = any(code.is_failure for code in codes)
        if mid == self._first_subscribe and not refusal:
            self._ready(client)
        elif refusal:
            self._trouble = unsubscribable(self.settings, self._username)
            client.disconnect()

    def _ready(self, client: mqtt.Client) -> None:
        self._outbox.open(client)
        self._worked = True
        self._backoff.connected()
        host, port = self.settings.address
        self._tell(f"Connected to the broker {host}:{port}.", connected=True)
        self._arrivals.release()

    def _received(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        if self.connected:
            self._arrivals.hand_on(message)
        else:
            self._arrivals.hold_back(message)

    def _ended(
        self, _: mqtt.Client, __: Any, flags: mqtt.DisconnectFlags, code: ReasonCode, ___: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server and not self._trouble:
            self._trouble = ended(self.settings, self.name, code)

    def _published(self, _: mqtt.Client, __: Any, mid: int, code: ReasonCode, ___: Any) -> None:
        if code.is_failure and code.value not in self._refusals:
            self._refusals.add(code.value)
            log.warning("%s", unpublishable(self.settings, self._username, code).error)
        if self._outbox.arrive(mid):
            self._on_room()

    def _tell(self, sentence: str, *, connected: bool) -> None:
        self._told = sentence
        try:
            self._on_change(connected, sentence)
        except Exception:
            log.exception("The connection's change could not be handled.")
