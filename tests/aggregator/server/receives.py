"""A receiving of updates with every thread in a test's hands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aggregator.rounds.federation import Federation
from aggregator.server.receiving import Receiving
from aggregator.server.rejections import Rejections
from shared.protocol.frames import Chunk
from shared.protocol.messages import Message, Offer
from tests.aggregator.server.updates import offer_of, open_round
from tests.loop_driver import LoopDriver

if TYPE_CHECKING:
    from aggregator.rounds.synchronous import Step


class Receives:
    """A receiving with what a service would do in the test's hands."""

    def __init__(self, federation: Federation, folder: Path, stages: Any = None) -> None:
        self.federation = federation
        self.folder = folder
        self.driver = LoopDriver(at_once=False)
        self.replies: list[tuple[str, Message]] = []
        self.steps: list[Step] = []
        loop = self.driver.loop
        self.receiving = Receiving(
            federation,
            Rejections(),
            loop=loop,
            arithmetic=loop.worker("arithmetic"),
            reply=lambda *reply: self.replies.append(reply),
            counted=self.steps.append,
            later=lambda action: loop.later(10, action),
            stages=stages,
        )

    def offer(self, client: str, content: bytes, **values: Any) -> Offer:
        offer = offer_of(self.federation, content, **values)
        self.receiving.offer(client, offer)
        self.driver.rest()
        return offer

    def send(self, client: str, offer: Offer, content: bytes) -> None:
        for begin in range(0, len(content), 1024):
            piece = content[begin : begin + 1024]
            self.receiving.chunk(client, Chunk(offer.update, begin, piece).encode())

    def work(self) -> None:
        """Let all threads do what waits for them."""
        self.driver.rest()
        for name in ("disk", "arithmetic", "disk"):
            self.driver.work(name)

    def told(self, client: str) -> list[Message]:
        """Give what a client was told since the last time."""
        told = [message for name, message in self.replies if name == client]
        self.replies = [reply for reply in self.replies if reply[0] != client]
        return told


@contextmanager
def receives(folder: Path, clients: list[str], **values: Any) -> Iterator[Receives]:
    with open_round(folder / "state", clients, **values) as federation:
        one = Receives(federation, folder)
        yield one
        one.work()
        one.receiving.close()
