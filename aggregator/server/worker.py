"""Threads for what takes long, so that the service's loop never waits."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from shared.errors import ChorusError

Action = Callable[[], None]
"""What the service's loop does next."""


class Worker:
    """A thread that does one piece of work after the other; outcomes come back as events.

    Parameters
    ----------
    name
        Of the thread.
    put
        Gives an event to the service's loop; called from any thread.
    """

    def __init__(self, name: str, put: Callable[[Action], None]) -> None:
        self.put = put
        self._thread = ThreadPoolExecutor(1, name)

    def do(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[ChorusError], None],
    ) -> None:
        """Do work after all that was given before; then, in the loop, one of the other two.

        What is no :class:`ChorusError` is raised in the loop: it ends the service.
        """

        def finished(future: Future[Any]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self.put(partial(done, future.result()))
            elif isinstance(error, ChorusError):
                self.put(partial(failed, error))
            else:
                self.put(future.result)

        self._thread.submit(work).add_done_callback(finished)

    def submit(self, work: Callable[[], object]) -> None:
        """Do work of which nobody awaits the outcome."""
        self._thread.submit(work)

    def close(self) -> None:
        """Finish what is being done; what was not begun is left."""
        self._thread.shutdown(cancel_futures=True)
