"""A broker in memory, and connections to it: each message waits until the test lets it through."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paho.mqtt.client import topic_matches_sub

Message = tuple[str, bytes]

ROOM = 3
"""Messages after which a line is full."""


class Link:
    """Stands in for :class:`shared.mqtt.connection.Connection`."""

    def __init__(  # noqa: PLR0913 -- as Connection has them
        self,
        network: "Network",
        name: str,
        *,
        subscriptions: Sequence[str],
        unacknowledged: Sequence[str] = (),
        will: Message | None = None,
        sign: Callable[[str, bytes], bytes] | None = None,
        on_message: Callable[[str, bytes], None],
        on_change: Callable[[bool, str], None],
        on_room: Callable[[], None] = lambda: None,
        if_unknown: str = "",
    ) -> None:
        del if_unknown  # it knows everybody
        self.name = name
        self.refused = None
        self.connected = False
        self.subscriptions = dict.fromkeys([*subscriptions, *unacknowledged])
        self.will = (will[0], sign(*will)) if will and sign else will
        self.sign = sign
        self.waiting: deque[Message] = deque()
        self.begun = False
        self.on_message = on_message
        self.on_change = on_change
        self.on_room = on_room
        self.sent = 0
        """Messages published since the line was empty the last time."""
        self.full = False
        self.slow = False
        """Whether what is published goes out one by one, when the test says so."""
        self.outgoing: deque[tuple[str, bytes, bool]] = deque()
        self._network = network

    def start(self) -> None:
        self.begun = True
        self._network.links.append(self)

    @property
    def busy(self) -> bool:
        return bool(self.outgoing)

    def has_room(self, _: int) -> bool:
        """Say no after a few messages: the line has become full."""
        if self.connected and self.sent >= ROOM:
            self.full = True
        return not self.full

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        wait: bool = True,
    ) -> bool:
        assert qos in (0, 1)
        assert isinstance(wait, bool)
        if not self.connected:
            return False
        if self.sign and qos:
            payload = self.sign(topic, payload)
        self.sent += 1
        if self.slow:
            self.outgoing.append((topic, payload, retain))
        else:
            self._network.route(topic, payload, retain=retain)
        return True

    def progressed(self) -> None:
        """Do nothing: the test says when it is tried again."""

    def begin_anew(self, subscriptions: Mapping[str, int]) -> None:
        self.subscriptions = dict.fromkeys(subscriptions)
        self._network.cut(self)

    def go_out(self) -> None:
        """Let the first of what waits on a slow line go out."""
        topic, payload, retain = self.outgoing.popleft()
        self._network.route(topic, payload, retain=retain)
        if not self.outgoing:
            self._network.drain(self)

    def subscribe(self, topic: str, *, qos: int = 1) -> None:
        assert qos in (0, 1)
        self.subscriptions[topic] = None
        if self.connected and (kept := self._network.retained.get(topic)):
            self.waiting.append((topic, kept))

    def unsubscribe(self, topic: str) -> None:
        self.subscriptions.pop(topic, None)

    def close(self) -> None:
        if self in self._network.links:
            self._network.links.remove(self)
        self.connected = False
        self.waiting.clear()


class Network:
    """A broker in memory, as MQTT 3.1.1 with clean sessions has it.

    Attributes
    ----------
    links
        All that are started and not closed.
    retained
        The retained messages.
    """

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.retained: dict[str, bytes] = {}

    def connection(self, _: object, name: str, *, identifier: str, **more: Any) -> Link:
        assert identifier.endswith(f"_{name}")
        return Link(self, name, **more)

    def route(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        if retain:
            self.retained[topic] = payload
        for link in self.links:
            if link.connected and _matches(link, topic):
                link.waiting.append((topic, payload))

    def drain(self, link: Link) -> None:
        """Let all that a link has published go out."""
        link.sent, link.full = 0, False
        link.on_room()

    def connect(self, link: Link) -> None:
        link.connected = True
        link.sent, link.full = 0, False
        for topic, payload in self.retained.items():
            if _matches(link, topic):
                link.waiting.append((topic, payload))
        link.on_change(True, "Connected.")

    def cut(self, link: Link) -> None:
        """Break a connection; all that is on its way is lost."""
        link.waiting.clear()
        if link.connected:
            link.connected = False
            link.on_change(False, "The connection was lost.")
            self._bury(link)

    def remove(self, link: Link) -> None:
        """End a connection whose process was killed."""
        if link in self.links:
            self.links.remove(link)
            link.connected = False
            link.waiting.clear()
            self._bury(link)

    def restart(self, *, keep: bool) -> None:
        """Kill the broker and start it again, with its retained messages or without."""
        for link in self.links:
            link.waiting.clear()
            if link.connected:
                link.connected = False
                link.on_change(False, "The broker was lost.")
        if not keep:
            self.retained.clear()

    def _bury(self, link: Link) -> None:
        if link.will:
            self.route(*link.will, retain=True)


def _matches(link: Link, topic: str) -> bool:
    return any(topic_matches_sub(each, topic) for each in link.subscriptions)
