"""Threads that take turns: what runs next, and what time it is, is the test's decision.

The service and the participants run as they are, with their loops and their threads; but each
thread stands still wherever it would wait, until the test lets it go on. So a run is the same each
time, however busy the machine is, and takes no longer than its work.
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty

from shared.loop import Action, Loop
from tests.loop_driver import ScriptedThread


class Killed(BaseException):
    """Ends an actor as ``kill -9`` does; nothing catches it."""


class Actor:
    """A thread that runs only while it is told to.

    Parameters
    ----------
    stage
        Where it stands.
    target
        What it does.
    owner
        The process that it belongs to.
    """

    def __init__(self, stage: "Stage", target: Callable[[], object], owner: object) -> None:
        self.owner = owner
        self.ended = False
        self.error: BaseException | None = None
        self._stage = stage
        self._target = target
        self._ready: Callable[[], object] = lambda: True
        self._due: float | None = None
        self._killed = False
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether it has something to do now."""
        return not self.ended and bool(self._ready() or self.due <= self._stage.now)

    @property
    def due(self) -> float:
        """When it would go on by itself."""
        return math.inf if self._due is None or self.ended else self._due

    def resume(self) -> None:
        """Let it go on until it would wait again."""
        # It may be an actor that lets another one end.
        before, self._stage.current = self._stage.current, self
        self._go.release()
        self._stands.acquire()
        self._stage.current = before

    def kill(self) -> None:
        self._killed = True
        while not self.ended:
            self.resume()

    def wait(self, ready: Callable[[], object], due: float | None = None) -> None:
        """Stand still; called in the actor's own thread."""
        self._ready, self._due = ready, due
        self._stands.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._killed:
                self._target()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 -- the test is to see it
            self.error = error
        finally:
            self.ended = True
            self._stands.release()


class Stage:
    """Where actors take turns.

    Attributes
    ----------
    now
        The time, in seconds.
    actors
        Who has not ended.
    current
        Who runs at the moment; ``None``: the test itself.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.actors: list[Actor] = []
        self.current: Actor | None = None
        self.owner: object = None

    def clock(self) -> float:
        return self.now

    def begin(self, target: Callable[[], object], owner: object = None) -> Actor:
        """Add an actor; it belongs to the process of the one who began it, if not told."""
        if owner is None:
            owner = self.current.owner if self.current else self.owner
        actor = Actor(self, target, owner)
        self.actors.append(actor)
        return actor

    def stand(self) -> None:
        """Give others their turn, where an actor would not wait by itself."""
        if self.current:
            self.current.wait(lambda: True)

    def ready(self) -> list[Actor]:
        """Give those who have something to do, who ran least recently first."""
        self.actors = [actor for actor in self.actors if not actor.ended]
        return [actor for actor in self.actors if actor.ready]

    def run(self, actor: Actor) -> None:
        """Let one go on; raise what ended it."""
        self.actors.remove(actor)
        self.actors.append(actor)
        actor.resume()
        if actor.error:
            raise actor.error

    def wait(self) -> None:
        """Let time pass until somebody goes on, but not more than a minute."""
        due = min((actor.due for actor in self.actors), default=math.inf)
        self.now = max(self.now, min(due, self.now + 60.0))

    def kill(self, owner: object) -> None:
        """End all actors of a process."""
        for actor in [actor for actor in self.actors if actor.owner is owner]:
            actor.kill()

    def loop(self) -> Loop:
        """Make a loop whose queue and workers take turns."""
        return Loop(clock=self.clock, queue=Queue(self), thread=lambda _: Pool(self))


class Queue:
    """A :class:`queue.SimpleQueue` whose reader takes turns."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._items: deque[Action] = deque()

    def put(self, item: Action, /) -> None:
        self._items.append(item)

    def get(self, *, timeout: float | None = None) -> Action:
        actor = self._stage.current
        assert actor
        actor.wait(lambda: self._items, None if timeout is None else self._stage.now + timeout)
        if not self._items:
            raise Empty
        return self._items.popleft()


class Pool(ScriptedThread):
    """A thread pool of one thread that takes turns."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._actor = stage.begin(self._run)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor has it
        assert not self.ended
        super().shutdown(wait, cancel_futures=cancel_futures)
        while not self._actor.ended:
            self._actor.resume()

    def _run(self) -> None:
        while not self.ended:
            assert self._stage.current
            self._stage.current.wait(lambda: self.work or self.ended)
            if self.work:
                self.do_one()
