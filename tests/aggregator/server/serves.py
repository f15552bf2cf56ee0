"""A service alone with a test, and a disk that is full for a while."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aggregator.rounds.federation import Federation
from aggregator.server.service import Service
from shared.errors import StorageError
from shared.mqtt.broker_settings import BrokerSettings
from shared.protocol.messages import Presence
from shared.protocol.topics import Topics
from tests.aggregator.driver import settings
from tests.loop_driver import LoopDriver

TOPICS = Topics("chorus")


class Serves:
    """A service alone with a test: its connection and its loop are in the test's hands."""

    def __init__(self, folder: Path, **values: Any) -> None:
        self.driver = LoopDriver()
        self.federation = Federation(settings(folder, **values))
        self.changes = 0
        self.service = Service(
            self.federation,
            BrokerSettings(),
            on_change=self._change,
            loop=self.driver.loop,
            connect=self.driver.connect,
        )
        self.connection = self.driver.connection

    def _change(self) -> None:
        self.changes += 1

    def says(self, client: str, **presence: Any) -> Callable[[], None]:
        payload = Presence(**{"state": "online", "examples": 5, **presence}).encode()
        return lambda: self.connection.on_message(TOPICS.presence(client), payload)

    def play(self, *scenes: Callable[[], object] | float) -> None:
        with self.federation:
            self.driver.play(self.service.run, *scenes)


def fill(target: object, name: str, times: int, patch: pytest.MonkeyPatch) -> list[None]:
    """Let the disk be full for some calls of a method; give a list that grows with them."""
    whole = getattr(target, name)
    failed: list[None] = []

    def full(*arguments: Any, **more: Any) -> Any:
        if len(failed) < times:
            failed.append(None)
            raise StorageError("The disk is full.", "Free some space.")
        return whole(*arguments, **more)

    patch.setattr(target, name, full)
    return failed
