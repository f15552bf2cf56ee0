"""A participant alone with a test: its connection, its loop and its examples are the test's."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_client.enrolment.membership import Membership
from edge_client.federation.participant import Participant
from edge_client.federation.settings import FederationSettings
from shared.protocol.messages import Announcement, File, Offer
from shared.protocol.topics import Topics
from shared.training import Examples
from tests.edge_client.federation.announcements import announcement
from tests.edge_client.tiny import NumpyEngine, examples
from tests.loop_driver import LoopDriver

if TYPE_CHECKING:
    from shared.errors import ChorusError

TOPICS = Topics("chorus")


class Alone:
    """A participant, its connection and its loop."""

    def __init__(
        self,
        folder: Path,
        *,
        at_once: bool = True,
        membership: Membership | None = None,
        **values: Any,
    ) -> None:
        self.folder = folder
        self.driver = LoopDriver(at_once=at_once)
        self.used: list[str] = []
        self.begun: Path | None = None
        self.trouble: list[ChorusError] = []
        self.reports: list[dict[str, Any]] = []
        self.data: Callable[[], Examples] = lambda: examples(8)
        self.keys = list(range(8))
        self.follows = False
        self.participant = Participant(
            FederationSettings.parse({"client": "kitchen", "holdout": 0, **values}),
            folder,
            examples=self._examples,
            keys=lambda: self.keys,
            engines=lambda _: NumpyEngine(),
            on_model=self._use,
            report=self.reports.append,
            why_not=lambda *_, **__: None,
            membership=membership,
            follow=lambda _: self.follows,
            loop=self.driver.loop,
            connect=self.driver.connect,
        )
        self.connection = self.driver.connection

    def _examples(self) -> Examples:
        return self.data()

    def _use(self, path: Path, _: Announcement, begun: Path | None) -> None:
        if self.trouble:
            raise self.trouble.pop()
        self.begun = begun
        self.used.append(path.stem)

    def announce(self, model: File, **values: Any) -> Callable[[], None]:
        payload = announcement(model, **values).encode()
        return lambda: self.connection.on_message(TOPICS.round, payload)

    def reply(self, message: Any) -> None:
        self.connection.on_message(TOPICS.replies("kitchen"), message.encode())

    def play(self, *scenes: Callable[[], object] | float) -> None:
        self.driver.play(self.participant.run, *scenes)

    @property
    def states(self) -> list[str]:
        return [report["state"] for report in self.reports]


def offers_of(it: Alone) -> list[Offer]:
    """Take what was sent since this was asked last, and give the offers of updates among it."""
    return [one for one in it.connection.take() if isinstance(one, Offer)]
