"""A round's work in a worker's thread: begun, given up, finished."""

import threading
from collections.abc import Callable
from functools import partial

from edge_client.federation.client_state import ClientState
from edge_client.federation.round_work import MakeEngine, RoundWork, Trained
from edge_client.federation.settings import FederationSettings
from shared.errors import ChorusError, StorageError
from shared.loop import Worker
from shared.protocol.messages import Announcement, Offer
from shared.training import Examples

Outcome = Offer | Trained | ChorusError | None
"""What came of it: an update to be offered, or one to be masked, what went wrong, or nothing, as it
was given up."""


class RoundWorker:
    """Does the work of one round at a time.

    Parameters
    ----------
    settings
        The client's name, the share of the examples to score with, its terms.
    client_state
        Where the update goes.
    examples
        Gives what there is to train on; called in the worker's thread.
    engines
        Makes what trains; called in the worker's thread.
    worker
        Where it is done.
    ended
        Told, in the loop, what came of the work.
    """

    def __init__(
        self,
        settings: FederationSettings,
        client_state: ClientState,
        *,
        examples: Callable[[], Examples],
        engines: MakeEngine,
        worker: Worker,
        ended: Callable[[Outcome], None],
    ) -> None:
        self._settings = settings
        self._client_state = client_state
        self._examples = examples
        self._engines = engines
        self._worker = worker
        self._ended = ended
        self._abandon = threading.Event()
        self._same = True
        self.on: tuple[str, int] | None = None
        """Run and round that are being worked on."""
        self.failed: ChorusError | None = None
        """Why the last work failed, if it would fail again: nothing has changed since it began."""

    def begin(self, announcement: Announcement) -> None:
        """Begin with a round; nothing else must be under way."""
        self._abandon.clear()
        self._same, self.failed = True, None
        self.on = (announcement.run, announcement.round)
        self._worker.do(partial(self._work, announcement), self._finished, self._finished)

    def changed(self) -> None:
        """Learn that there are other examples, or that a round was announced."""
        self._same, self.failed = False, None

    def give_up(self) -> None:
        """Stop at the next step, if something is under way; may be called from any thread."""
        self._abandon.set()

    def _work(self, announcement: Announcement) -> Offer | Trained | None:
        examples = self._examples()
        if self._abandon.is_set():
            return None  # the files of its round may be gone
        work = RoundWork(
            client=self._settings.name,
            announcement=announcement,
            examples=examples,
            holdout=self._settings.holdout,
            client_state=self._client_state,
            engine=self._engines(announcement.architecture),
            stop=lambda _: self._abandon.is_set(),
            terms=self._settings.terms,
        )
        return work.run()

    def _finished(self, outcome: Outcome) -> None:
        self.on = None
        # A disk that is full, or away, is another matter: nobody says when that has changed.
        if isinstance(outcome, ChorusError) and not isinstance(outcome, StorageError):
            self.failed = outcome if self._same else None
        self._ended(outcome)
