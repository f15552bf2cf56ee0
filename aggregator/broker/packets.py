"""The packets of MQTT 3.1.1, as far as the embedded broker speaks it: quality of service 0 and 1.

What comes from outside is read with a bound for each length. Section numbers are those of the
standard (OASIS, *MQTT Version 3.1.1*, 2014).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

LONGEST_TOPIC: Final = 1024
"""Bytes of a topic or a filter; the federation's longest has 215."""

LONGEST_IDENTIFIER: Final = 256
"""Bytes of a client's identifier; the federation's longest has 140."""

MOST_FILTERS: Final = 1024
"""Filters that one packet may name, and that one session may have: while it keeps out a flood, the
aggregator subscribes to each client by itself."""

_HEADER: Final = 5
"""Bytes of a packet's fixed header at most (2.2)."""


class MalformedPacketError(ValueError):
    """A packet that is none, or one that this broker does not take: its connection is ended."""


class Kind(IntEnum):
    """What a packet is (2.2.1)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


_FLAGS: Final = dict.fromkeys(Kind, 0) | {Kind.SUBSCRIBE: 2, Kind.UNSUBSCRIBE: 2}
"""The flags of all kinds but PUBLISH are fixed (2.2.2)."""


class Packet(NamedTuple):
    """A packet as it came.

    Attributes
    ----------
    kind
        What it is.
    flags
        The lower half of its first byte.
    body
        What comes after the fixed header.
    """

    kind: Kind
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What is published.

    Attributes
    ----------
    topic, payload
        Where, and what.
    qos
        Quality of service, 0 or 1.
    retain
        Whether the broker shall keep it for those who come later.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool

    def encode(self, qos: int, number: int, *, retain: bool) -> bytes:
        """Write it as a packet for a subscriber.

        Parameters
        ----------
        qos
            Quality of service of this delivery.
        number
            Its packet identifier, where the quality is 1.
        retain
            Whether it was kept, and not just published (3.3.1.3).
        """
        body = [_text(self.topic), number.to_bytes(2) if qos else b"", self.payload]
        return encode(Kind.PUBLISH, b"".join(body), flags=qos << 1 | retain)


@dataclass(frozen=True, slots=True)
class Connect:
    """The first packet of a client.

    Attributes
    ----------
    speaks
        Whether it is MQTT 3.1.1; of other versions nothing else is read.
    identifier
        The client's, possibly empty.
    keepalive
        Seconds within which it will send something; 0 if it does not say.
    will
        What to publish if it is lost.
    username, password
        Of its account, if it gives them.
    """

    speaks: bool
    identifier: str = ""
    keepalive: int = 0
    will: Message | None = None
    username: str = ""
    password: bytes = b""


def take(buffer: bytearray, largest: int) -> Packet | None:
    """Take the first packet out of what has arrived; ``None`` if it is not whole yet.

    Parameters
    ----------
    buffer
        What has arrived. The packet is removed from it.
    largest
        Bytes that the packet's body may have.

    Raises
    ------
    MalformedPacketError
        If it is no packet, or larger. This is known before its body has arrived.
    """
    length, place = 0, 1
    while True:
        if place == _HEADER:
            raise MalformedPacketError("a length of more than four bytes")
        if place >= len(buffer):
            return None
        byte = buffer[place]
        length |= (byte & 0x7F) << 7 * (place - 1)
        place += 1
        if byte < 0x80:  # noqa: PLR2004 -- the bit that says whether another one follows (2.2.3)
            break
    if length > largest:
        raise MalformedPacketError(f"{length} bytes, where {largest} are the most")
    try:
        kind, flags = Kind(buffer[0] >> 4), buffer[0] & 0x0F
    except ValueError as error:
        raise MalformedPacketError("an unknown kind of packet") from error
    if kind != Kind.PUBLISH and flags != _FLAGS[kind]:
        raise MalformedPacketError("flags that its kind does not have")
    if len(buffer) < place + length:
        return None
    with memoryview(buffer) as view:
        body = bytes(view[place : place + length])
    del buffer[: place + length]
    return Packet(kind, flags, body)


def encode(kind: Kind, body: bytes = b"", *, flags: int = 0) -> bytes:
    """Write a packet."""
    head, length = bytearray([kind << 4 | flags]), len(body)
    while True:
        length, byte = length >> 7, length & 0x7F
        head.append(byte | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def decode_connect(body: bytes) -> Connect:
    """Read a CONNECT (3.1).

    Raises
    ------
    MalformedPacketError
        If it is not what the standard says.
    """
    fields = _Fields(body)
    protocol, level, flags, keepalive = (
        fields.text(LONGEST_TOPIC),
        fields.number(1),
        fields.number(1),
        fields.number(2),
    )
    if (protocol, level) != ("MQTT", 4):
        return Connect(speaks=False)
    if flags & 1:
        raise MalformedPacketError("a reserved flag is set")
    identifier, will = fields.text(LONGEST_IDENTIFIER), None
    if flags & 4:
        topic, payload = _topic(fields.text(LONGEST_TOPIC)), fields.blob()
        will = Message(topic, payload, min(flags >> 3 & 3, 1), bool(flags & 0x20))
    username = fields.text(LONGEST_IDENTIFIER) if flags & 0x80 else ""
    password = fields.blob() if flags & 0x40 else b""
    return Connect(True, identifier, keepalive, will, username, password)


def decode_publish(flags: int, body: bytes) -> tuple[Message, int]:
    """Read a PUBLISH (3.3) and its packet identifier, 0 where it has none.

    Raises
    ------
    MalformedPacketError
        If it is not what the standard says, or its quality of service is 2.
    """
    fields, qos = _Fields(body), flags >> 1 & 3
    if qos > 1:
        raise MalformedPacketError("a quality of service of 2")
    topic = _topic(fields.text(LONGEST_TOPIC))
    number = fields.number(2) if qos else 0
    return Message(topic, fields.rest(), qos, bool(flags & 1)), number


def decode_filters(body: bytes, *, qualities: bool) -> tuple[int, dict[str, int]]:
    """Read a SUBSCRIBE (3.8), or without ``qualities`` an UNSUBSCRIBE (3.10).

    Returns
    -------
    (int, dict)
        The packet identifier; the filters, with the quality of service to grant each.

    Raises
    ------
    MalformedPacketError
        If it is not what the standard says, or names more than ``MOST_FILTERS``.
    """
    fields, filters = _Fields(body), dict[str, int]()
    number = fields.number(2)
    while fields.left:
        if len(filters) == MOST_FILTERS:
            raise MalformedPacketError("too many filters")
        name = fields.text(LONGEST_TOPIC)
        levels = name.split("/")
        if not name or "#" in name[:-1] or any("+" in each and each != "+" for each in levels):
            raise MalformedPacketError("a filter that is none")
        if name.endswith("#") and levels[-1] != "#":
            raise MalformedPacketError("a filter that is none")
        filters[name] = min(fields.number(1), 1) if qualities else 0
    if not filters:
        raise MalformedPacketError("no filter")
    return number, filters


def matches(levels: list[str], topic: list[str]) -> bool:
    """Say whether a filter lets a topic pass (4.7), both split at their slashes."""
    if levels[-1] == "#":
        levels, topic = levels[:-1], topic[: len(levels) - 1]
    return len(levels) == len(topic) and all(
        level in ("+", part) for level, part in zip(levels, topic, strict=True)
    )


def _topic(name: str) -> str:
    """Check what is published to (3.3.2.1); topics with ``$`` are the broker's own."""
    if not name or "+" in name or "#" in name or name.startswith("$"):
        raise MalformedPacketError("a topic that nobody may publish to")
    return name


def _text(value: str) -> bytes:
    content = value.encode()
    return len(content).to_bytes(2) + content


class _Fields:
    """What is in a packet's body, one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._place = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._place

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size))

    def blob(self) -> bytes:
        return self._take(self.number(2))

    def text(self, longest: int) -> str:
        content = self.blob()
        if len(content) > longest:
            raise MalformedPacketError(f"a text of {len(content)} bytes")
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise MalformedPacketError("a text that is none") from error
        if "\0" in text:
            raise MalformedPacketError("a text that is none")
        return text

    def rest(self) -> bytes:
        return self._take(self.left)

    def _take(self, size: int) -> bytes:
        if size > self.left:
            raise MalformedPacketError("a body that is too short")
        self._place += size
        return self._body[self._place - size : self._place]
