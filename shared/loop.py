"""One loop: the thread that takes every decision of a program, and all that can reach it.

The aggregator's service and a device's participant each stand on one. Other threads decide nothing:
they put actions into its queue, and the loop does one after the other, in the order in which they
came. An action is a function without arguments; it should return soon.

- A **message** from the network waits within a byte budget; a flood is cut off.
- A **deadline** that has passed takes its place in the queue, behind what came before it. So what
  has arrived in time is looked at first, and no flood keeps a deadline waiting for ever.
- A **worker** does what takes long in a thread of its own; its outcome comes back as an action.

What ends the loop, and what does not:

- :meth:`Loop.stop` ends it after the action under way; what still waits is not done.
- A :class:`~shared.errors.StorageError` (a full disk) ends only the action that raises it. The
  loop's owner is told, says it, and sees to it that the action is tried again.
- A message ends nothing: what its handler raises besides is a fault of the program, and logged.
- Whatever else an action raises, a worker's outcome among them, :meth:`Loop.run` raises.
"""

import heapq
import itertools
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, TypeVar

from shared.errors import ChorusError, StorageError
from shared.mqtt.byte_budget import ByteBudget

log = logging.getLogger(__name__)

T = TypeVar("T")

Action = Callable[[], None]
"""What the loop does next."""

MOST_WAITING: Final = 8 << 20
"""Bytes of messages that may wait: ten thousand, as all clients say hello with."""


class Queue(Protocol):
    """What actions wait in; :class:`queue.SimpleQueue` is one."""

    def put(self, item: Action, /) -> None:
        """Add an action; called from any thread, and in a signal's handler."""

    def get(self, *, timeout: float | None = None) -> Action:
        """Take the first; raise :class:`queue.Empty` if there is none within ``timeout`` s."""


class Deadline:
    """Something that the loop does once at a time; its owner sets it, and sets it anew.

    For the loop's thread alone.

    Attributes
    ----------
    at
        When, in seconds of the loop's clock; ``None``: it is not set.
    """

    def __init__(self, action: Action, clock: Callable[[], float]) -> None:
        self._action = action
        self._clock = clock
        self.at: float | None = None

    def within(self, seconds: float) -> None:
        """Do it so many seconds from now at the latest; an earlier time that is set stays."""
        at = self._clock() + seconds
        self.at = at if self.at is None else min(self.at, at)

    def cancel(self) -> None:
        """Do not do it."""
        self.at = None

    def expire(self) -> None:
        """Do it: its time has come."""
        self.at = None
        self._action()


class Worker:
    """A thread that does one piece of work after the other; outcomes come back to the loop.

    Parameters
    ----------
    thread
        Of one thread.
    put
        Gives an action to the loop.
    """

    def __init__(self, thread: Executor, put: Callable[[Action], None]) -> None:
        self._thread = thread
        self._put = put

    def do(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[ChorusError], None],
    ) -> None:
        """Do work after all that was given before; then, in the loop, one of the other two.

        What is no :class:`~shared.errors.ChorusError` is raised in the loop.
        """

        def finished(future: Future[Any]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self._put(partial(done, future.result()))
            elif isinstance(error, ChorusError):
                self._put(partial(failed, error))
            else:
                self._put(future.result)

        self._thread.submit(work).add_done_callback(finished)

    def submit(self, work: Callable[[], object]) -> None:
        """Do work of which nobody awaits the outcome; what it raises is raised in the loop."""

        def finished(future: Future[Any]) -> None:
            if not future.cancelled() and future.exception():
                self._put(future.result)

        self._thread.submit(work).add_done_callback(finished)

    def close(self) -> None:
        """Finish what is being done; what was not begun is left."""
        self._thread.shutdown(cancel_futures=True)


def _one_thread(name: str) -> Executor:
    return ThreadPoolExecutor(1, name)


class Loop:
    """Does actions one after the other, in the thread that calls :meth:`run`.

    Parameters
    ----------
    clock
        A clock that only goes forward, in seconds.
    queue
        What actions wait in.
    thread
        Makes an executor of one thread of this name, for a worker.
    most_waiting
        Bytes of messages that may wait.

    Attributes
    ----------
    clock
        As given.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        queue: Queue | None = None,
        thread: Callable[[str], Executor] = _one_thread,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self.clock = clock
        self._queue: Queue = SimpleQueue() if queue is None else queue
        self._thread = thread
        self._budget = ByteBudget(most_waiting)
        self._watches: list[_Watch] = []
        self._workers: list[Worker] = []
        self._once: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()
        self._stopped = False
        self.watch(lambda: self._once[0][0] if self._once else None, self._do_first)

    def run(self, on_full_disk: Callable[[StorageError], None]) -> None:
        """Do what comes until :meth:`stop`; the module says what else ends it, and what does not.

        Parameters
        ----------
        on_full_disk
            Told what the disk did not take.
        """
        while not self._stopped:
            try:
                self.turn()
            except StorageError as error:
                on_full_disk(error)

    def stop(self) -> None:
        """End :meth:`run`; may be called from any thread, and in a signal's handler."""
        self._stopped = True
        self._queue.put(_nothing)

    def close(self) -> None:
        """End the workers, after :meth:`run`; work under way is finished, the rest is left."""
        for worker in reversed(self._workers):
            worker.close()

    def put(self, action: Action) -> None:
        """Do something after all that waits; may be called from any thread."""
        self._queue.put(action)

    def ask(self, do: Callable[[], T], patience: float) -> T:
        """Do something in the loop, for another thread that waits for what comes of it.

        Parameters
        ----------
        do
            What to do; a :class:`~shared.errors.ChorusError` that it raises is raised here.
        patience
            Seconds to wait until the loop comes to it.

        Raises
        ------
        TimeoutError
            If the loop does not come to it; then it is not done.
        """
        outcome: Future[T] = Future()

        def answer() -> None:
            # Whoever asked may have given up waiting.
            if outcome.set_running_or_notify_cancel():
                try:
                    outcome.set_result(do())
                except ChorusError as error:
                    outcome.set_exception(error)

        self.put(answer)
        try:
            return outcome.result(patience)
        except TimeoutError:
            if not outcome.cancel():
                return outcome.result()
            raise

    def message(self, sender: str, payload: bytes, handle: Action) -> None:
        """Let a message be handled, or drop it if too many bytes wait; called from any thread.

        Parameters
        ----------
        sender
            Where it comes from, for the log.
        payload
            What waits.
        handle
            What to do. Only a :class:`~shared.errors.StorageError` that it raises goes further.
        """
        if self._budget.add(payload):
            self.put(partial(self._handle, sender, payload, handle))

    def later(self, seconds: float, action: Action) -> None:
        """Do something once, so many seconds from now; for the loop's thread."""
        heapq.heappush(self._once, (self.clock() + seconds, next(self._numbers), action))

    def deadline(self, action: Action) -> Deadline:
        """Make a deadline that is not set yet."""
        deadline = Deadline(action, self.clock)
        self.watch(lambda: deadline.at, deadline.expire)
        return deadline

    def watch(self, at: Callable[[], float | None], action: Action) -> None:
        """Do something whenever the time has come that its owner says.

        Parameters
        ----------
        at
            Says when, in seconds of :attr:`clock`; ``None``: not now. Asked at each turn.
        action
            What to do; afterwards ``at`` must say another time.
        """
        self._watches.append(_Watch(at, action, self.clock))

    def worker(self, name: str) -> Worker:
        """Make a thread for what takes long; :meth:`close` ends it."""
        worker = Worker(self._thread(name), self.put)
        self._workers.append(worker)
        return worker

    def turn(self) -> None:
        """Do the next action, when there is one; or nothing, if a deadline passes first."""
        wake_at = self._put_what_is_due()
        left = None if wake_at is None else max(0.0, wake_at - self.clock())
        try:
            action = self._queue.get(timeout=left)
        except Empty:
            return
        action()

    def _put_what_is_due(self) -> float | None:
        """Put actions whose time has come into the queue; say when the next one comes."""
        now, wake_at = self.clock(), None
        for watch in self._watches:
            at = watch.at()
            if at is None or watch.queued:
                continue
            if at <= now:
                watch.queued = True
                self.put(watch.do)
            elif wake_at is None or at < wake_at:
                wake_at = at
        return wake_at

    def _do_first(self) -> None:
        _, _, action = heapq.heappop(self._once)
        action()

    def _handle(self, sender: str, payload: bytes, handle: Action) -> None:
        self._budget.remove(payload)
        try:
            handle()
        except StorageError:
            raise
        except Exception:
            log.exception("A message of %s could not be handled.", sender)


class _Watch:
    """A time that its owner says, and what is to be done then."""

    def __init__(
        self, at: Callable[[], float | None], action: Action, clock: Callable[[], float]
    ) -> None:
        self.at = at
        self.queued = False
        """Whether it stands in the queue."""
        self._action = action
        self._clock = clock

    def do(self) -> None:
        """Do it, unless what stood before it in the queue has moved its time."""
        self.queued = False
        at = self.at()
        if at is not None and at <= self._clock():
            self._action()


def _nothing() -> None:
    return
