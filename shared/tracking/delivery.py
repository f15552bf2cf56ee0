"""Brings runs to a tracker beside the work, which waits for nothing."""

import threading
from collections.abc import Callable
from typing import Final

from shared.errors import TrackingError
from shared.tracking.tracked_run import TrackedRun

_AGAIN: Final = 30.0
"""Seconds after which a tracker that was away is tried again."""


class Delivery:
    """Delivers what is new of runs, in a thread of its own.

    Parameters
    ----------
    deliver
        Brings all that is missing of a run, as
        :meth:`~shared.tracking.mlflow_server.MlflowServer.deliver`.
    say
        Takes a sentence for the user.
    again
        Seconds after which a tracker that was away is tried again.
    """

    def __init__(
        self,
        deliver: Callable[[TrackedRun], None],
        say: Callable[[str], None],
        again: float = _AGAIN,
    ) -> None:
        self._deliver = deliver
        self._say = say
        self._again = again
        self._waiting: dict[str, TrackedRun] = {}
        self._changed = threading.Condition()
        self._closing = self._away = False
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def changed(self, run: TrackedRun) -> None:
        """Learn that there is something new of a run."""
        with self._changed:
            self._waiting[run.identity] = run
            self._changed.notify()

    def close(self) -> None:
        """Deliver what is left, if the tracker is there now; else say how it gets there."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if self._waiting:
            names = ", ".join(run.name for run in self._waiting.values())
            self._say(
                f"Not delivered: {names}. The folders keep all of it; the same command delivers it "
                "(simulate: add --resume)."
            )

    def _work(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                if self._away:
                    self._changed.wait_for(lambda: self._closing, self._again)
                else:
                    self._changed.wait_for(lambda: self._closing or self._waiting)
                closing, runs = self._closing, list(self._waiting.values())
            for run in runs:
                if not self._attempt(run):
                    break  # the others would wait for nothing, too

    def _attempt(self, run: TrackedRun) -> bool:
        """Deliver a run; ``False`` if the tracker is away."""
        with self._changed:
            del self._waiting[run.identity]
        try:
            self._deliver(run)
        except TrackingError as error:
            if not error.away:
                self._say(f"{run.name}: {error.message}")
                return True
            with self._changed:
                self._waiting.setdefault(run.identity, run)
            if not self._away:
                self._away = True
                self._say(f"{error.problem} The runs go on, and are delivered when it does.")
            return False
        if self._away:
            self._away = False
            self._say("MLflow answers again, and gets what it has missed.")
        return True
