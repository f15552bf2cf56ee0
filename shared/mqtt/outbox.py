"""What goes out over a connection: bounded in bytes, and given up when nobody acknowledges it."""

import logging
import threading
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as mqtt

from shared.errors import StorageError
from shared.mqtt.under_way import UnderWay

log = logging.getLogger(__name__)

OUT_BYTES: Final = 4 << 20
"""Bytes under way to the broker at most. At 1 Mbit/s this is half a minute, so an answer to a
keep-alive of 60 s still finds its way through."""

_REPLY_BYTES: Final = 4 << 20
"""What those who cannot wait may publish beyond that."""

_MESSAGE_OVERHEAD: Final = 512
"""Bytes that a message costs besides topic and payload, about; bounds their number too."""


class Outbox:
    """Hands messages to the broker, from any thread, while a connection is open.

    Parameters
    ----------
    sign
        Signs a message for a topic, and gives what travels; see
        :class:`.connection.Connection`.

    Attributes
    ----------
    largest
        Bytes of the largest message that was handed over since the last connection was made.
    """

    def __init__(self, sign: Callable[[str, bytes], bytes] | None = None) -> None:
        self._sign = sign
        # Who reads signed messages takes none for the predecessor of one before it.
        self._in_order = threading.Lock()
        # Guards what follows. Never held while paho is called: paho has locks of its own.
        self._changed = threading.Condition()
        self._client: mqtt.Client | None = None
        self._under_way = UnderWay()
        self._room_is_awaited = False
        self.largest = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._client is not None

    @property
    def under_way(self) -> int:
        """Bytes on their way to the broker."""
        return self._under_way.bytes

    def open(self, client: mqtt.Client) -> None:
        """Let messages go out over a connection that was made."""
        with self._changed:
            self._client = client
            self.largest = 0

    def close(self) -> bool:
        """Let go of the connection and all that was under way; say whether there was one."""
        with self._changed:
            was_open = self.is_open
            self._client = None
            self._under_way.clear()
            self._room_is_awaited = False
            self._changed.notify_all()
        return was_open

    def has_room(self, size: int) -> bool:
        """Say whether so many bytes may be published now; if not, note that it is waited for."""
        with self._changed:
            room = self._under_way.fits(size, OUT_BYTES)
            self._room_is_awaited = not room
        return room

    def signed(self, topic: str, payload: bytes) -> bytes | None:
        """Give what travels of a message; ``None`` while a full disk does not let it be signed."""
        try:
            return self._sign(topic, payload) if self._sign else payload
        except StorageError as error:
            log.warning("%s", error.message)
            return None

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool, wait: bool) -> bool:
        """Hand a message over; see :meth:`.connection.Connection.publish`."""
        size = len(payload) + len(topic) + _MESSAGE_OVERHEAD
        # Before it is signed: who waits for room must not hold up those who may not wait.
        client = self._room_at(size, wait=wait)
        if client is None:
            return False
        if self._sign is None or qos == 0:
            return self._hand_over(client, size, topic, payload, qos, retain=retain)
        with self._in_order:
            try:
                signed = self._sign(topic, payload)
            except BaseException:
                self._settle(client, size)
                raise
            return self._hand_over(client, size, topic, signed, qos, retain=retain)

    def _room_at(self, size: int, *, wait: bool) -> mqtt.Client | None:
        """Take room for a message; give the connection that has it, ``None`` if none has."""
        with self._changed:
            client, under_way = self._client, self._under_way
            if wait:
                self._changed.wait_for(
                    lambda: self._client is not client or under_way.fits(size, OUT_BYTES)
                )
            elif not under_way.fits(size, OUT_BYTES + _REPLY_BYTES):
                return None
            if client is None or self._client is not client:
                return None
            under_way.begin(size)
        return client

    def _hand_over(
        self, client: mqtt.Client, size: int, topic: str, payload: bytes, qos: int, *, retain: bool
    ) -> bool:
        """Give paho a message that has room; say whether it is on its way."""
        with self._changed:
            if self._client is not client:
                return False
            self.largest = max(self.largest, len(payload))
        sent = client.publish(topic, payload, qos, retain)
        taken = sent.rc == mqtt.MQTT_ERR_SUCCESS
        return self._settle(client, size, sent.mid if taken else None, acknowledged=qos > 0)

    def _settle(
        self, client: mqtt.Client, size: int, mid: int | None = None, *, acknowledged: bool = False
    ) -> bool:
        """Note a message's number or, if it was not taken, give its room back; say if it goes."""
        with self._changed:
            if self._client is not client:
                return False  # with the connection all room was given back
            if mid is None:
                self._under_way.fail(size)
            else:
                self._under_way.handed_over(mid, size, acknowledged=acknowledged)
            self._changed.notify_all()
        return mid is not None

    def arrive(self, mid: int) -> bool:
        """Learn that a message got there; say, once, that there is the room that was waited for."""
        with self._changed:
            self._under_way.arrive(mid)
            self._changed.notify_all()
            room = self._room_is_awaited and self.under_way <= OUT_BYTES // 2
            self._room_is_awaited &= not room
        return room

    def overdue(self, patience: float) -> bool:
        """Say whether the broker should have acknowledged something by now."""
        with self._changed:
            return self._under_way.overdue(patience)

    def wait_until_empty(self, timeout: float) -> None:
        """Wait, bounded, until all that was published got there, or the connection is gone."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_open or not self.under_way, timeout)
