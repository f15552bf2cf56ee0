"""Connections for tests, with what they were told; and the fixture ``peers``."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from shared.mqtt.backoff import Backoff
from shared.mqtt.broker_settings import BrokerSettings
from tests.brokers import wait_until


class Peer:
    """A connection with what it was told."""

    def __init__(
        self, settings: BrokerSettings, name: str, *subscriptions: str, **more: Any
    ) -> None:
        # Here, as the environments of the training engine's tests have no paho-mqtt.
        from shared.mqtt.connection import Connection

        self.messages: list[tuple[str, bytes]] = []
        self.changes: list[tuple[bool, str]] = []
        self.connection: Connection = Connection(
            settings,
            name,
            subscriptions=subscriptions,
            on_message=more.pop("on_message", lambda *message: self.messages.append(message)),
            on_change=lambda *change: self.changes.append(change),
            backoff=Backoff(0.02, 0.1),
            **more,
        )
        self.connection.start()

    def ready(self) -> "Peer":
        wait_until(lambda: self.connection.connected, f"{self.connection.name} is connected")
        return self

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.messages) >= count, f"{count} messages")

    def wait_for_change(self, part: str) -> str:
        wait_until(lambda: any(part in said for _, said in self.changes), f"{part!r} is said")
        return next(said for _, said in self.changes if part in said)


class Peers(ExitStack):
    """Connections that are closed with the test."""

    def connect(self, *arguments: Any, **more: Any) -> Peer:
        peer = Peer(*arguments, **more)
        self.callback(peer.connection.close)
        return peer


@pytest.fixture
def peers() -> Iterator[Peers]:
    """Connect peers that are closed with the test."""
    with Peers() as all_peers:
        yield all_peers
