"""A round's work in a thread of its own: begun, given up, finished."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from edge_client.federation.client_state import ClientState
from edge_client.federation.round_work import MakeEngine, RoundWork
from shared.errors import ChorusError
from shared.protocol.messages import Announcement, Offer
from shared.training import Examples

Outcome = Offer | ChorusError | None
"""What came of it: an update to be offered, what went wrong, or nothing, as it was given up."""


class Working:
    """Does the work of one round at a time.

    Parameters
    ----------
    client
        This client's name.
    holdout
        Share of the examples to score with.
    memory
        Where the update goes.
    examples
        Gives what there is to train on.
    engines
        Makes what trains.
    put
        Does something in the participant's loop; called from the other thread.
    ended
        Told, in that loop, what came of the work.
    """

    def __init__(
        self,
        client: str,
        holdout: float,
        memory: ClientState,
        *,
        examples: Callable[[], Examples],
        engines: MakeEngine,
        put: Callable[[Callable[[], None]], None],
        ended: Callable[[Outcome], None],
    ) -> None:
        self._client = client
        self._holdout = holdout
        self._memory = memory
        self._examples = examples
        self._engines = engines
        self._put = put
        self._ended = ended
        self._abandon = threading.Event()
        self._thread = ThreadPoolExecutor(1, "training")
        self.on: tuple[str, int] | None = None
        """Run and round that are being worked on."""

    def begin(self, announcement: Announcement) -> None:
        """Begin with a round; nothing else must be under way."""
        self._abandon.clear()
        self.on = (announcement.run, announcement.round)
        work = RoundWork(
            client=self._client,
            announcement=announcement,
            examples=self._examples(),
            holdout=self._holdout,
            memory=self._memory,
            engine=self._engines(announcement.architecture),
            stop=lambda _: self._abandon.is_set(),
        )
        self._thread.submit(work.run).add_done_callback(self._finished)

    def give_up(self) -> None:
        """Stop at the next step, if something is under way; may be called from any thread."""
        self._abandon.set()

    def close(self) -> None:
        """Give up, and wait until nothing is under way."""
        self.give_up()
        self._thread.shutdown(cancel_futures=True)

    def _finished(self, future: "Future[Offer | None]") -> None:
        if not future.cancelled():
            self._put(partial(self._tell, future))

    def _tell(self, future: "Future[Offer | None]") -> None:
        self.on = None
        error = future.exception()
        if isinstance(error, ChorusError):
            self._ended(error)
        else:
            self._ended(future.result())  # what is nobody's to fix is raised
