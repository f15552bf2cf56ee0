"""A loop whose every turn is the test's decision, and a connection that only notes what is said.

All unit tests of parts that stand on :class:`shared.loop.Loop` use these two: the loop is the real
one, with a clock that stands still, a queue that waits for nobody, and workers whose work is done
when the test says so.
"""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from queue import Empty
from typing import Any

from aggregator.server.rival import QUESTION
from shared.errors import BrokerError, StorageError
from shared.loop import Action, Loop
from shared.protocol.messages import Announcement, Presence, decode_reply, decode_request
from shared.protocol.topics import Topics


class LoopDriver:
    """A loop, its time, and its workers.

    Attributes
    ----------
    now
        The loop's time, in seconds.
    loop
        The loop.
    full
        What the disk did not take.
    workers
        By name; work waits in them unless ``at_once``.
    connection
        What :meth:`connect` made last.
    """

    connection: "FakeConnection"

    def __init__(self, *, at_once: bool = True, most_waiting: int = 1 << 20) -> None:
        self.now = 1000.0
        self.full: list[StorageError] = []
        self.workers: dict[str, ScriptedThread] = {}
        self._at_once = at_once
        self._actions: deque[Action] = deque()
        self._scenes: deque[Callable[[], object] | float] | None = None
        self.loop = Loop(
            clock=lambda: self.now, queue=self, thread=self._worker, most_waiting=most_waiting
        )

    def put(self, item: Action, /) -> None:
        """Be the loop's queue."""
        self._actions.append(item)

    def get(self, *, timeout: float | None = None) -> Action:
        """Be the loop's queue, which waits for nobody."""
        if self._scenes is not None:
            self._play_on(timeout)
        if not self._actions:
            raise Empty
        return self._actions.popleft()

    def connect(self, _: object, name: str, **more: Any) -> Any:
        """Make the connection of the part under test."""
        self.connection = FakeConnection(name, **more)
        return self.connection

    def play(self, run: Callable[[], None], *scenes: Callable[[], object] | float) -> None:
        """Call what runs the loop, from its beginning to its end.

        Parameters
        ----------
        run
            Calls :meth:`Loop.run`.
        scenes
            What happens whenever nothing else is left to do: something is done, or seconds pass.
            After the last, the loop is stopped.
        """
        self._scenes = deque(scenes)
        run()
        self._scenes = None

    def _play_on(self, timeout: float | None) -> None:
        """Let the next scene begin, if nothing is left to do; ``timeout``: until a deadline."""
        if self._at_once:
            for worker in self.workers.values():
                worker.do_all()
        if self._actions or self._scenes is None:
            return
        scene = self._scenes.popleft() if self._scenes else self.loop.stop
        if callable(scene):
            scene()
        elif timeout is not None and timeout < scene:
            self.now += timeout
            self._scenes.appendleft(scene - timeout)
        else:
            self.now += scene
            self._actions.append(lambda: None)

    def rest(self) -> None:
        """Take turns until nothing happens without time passing."""
        self._turn()
        while self._actions or any(w.work and self._at_once for w in self.workers.values()):
            for worker in self.workers.values():
                if self._at_once:
                    worker.do_all()
            self._turn()

    def after(self, seconds: float) -> None:
        """Let time pass, an eighth of a second at a time: a number without rounding."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.125)
            self.rest()

    def do(self, action: Callable[[], Any]) -> None:
        """Do something in the loop, and all that follows."""
        self.loop.put(action)
        self.rest()

    def work(self, name: str) -> None:
        """Let a worker do what waits, and the loop what follows from it."""
        self.workers[name].do_all()
        self.rest()

    def _turn(self) -> None:
        try:
            self.loop.turn()
        except StorageError as error:
            self.full.append(error)

    def _worker(self, name: str) -> Executor:
        return self.workers.setdefault(name, ScriptedThread())


class ScriptedThread(Executor):
    """An executor whose work waits until the test says so."""

    def __init__(self) -> None:
        self.work: deque[tuple[Future[Any], Callable[..., Any]]] = deque()
        self.ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        assert not args
        assert not kwargs
        future: Future[Any] = Future()
        self.work.append((future, fn))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor has it
        del wait
        assert cancel_futures
        self.ended = True
        for future, _ in self.work:
            future.cancel()

    def do_one(self) -> None:
        future, work = self.work.popleft()
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 -- as ThreadPoolExecutor does
                future.set_exception(error)

    def do_all(self) -> None:
        while self.work:
            self.do_one()


@dataclass
class Said:
    """A message that was published."""

    topic: str
    payload: bytes
    retain: bool


class FakeConnection:
    """Stands in for :class:`shared.mqtt.connection.Connection`: notes what is said, says nothing.

    It only sends back what an aggregator asks it to.

    It is made by :meth:`LoopDriver.connect`, or by itself for a part that is given one.
    """

    def __init__(self, name: str = "kitchen", **more: Any) -> None:
        self.name = name
        self.will: tuple[str, bytes] | None = more.get("will")
        self.sign: Callable[[str, bytes], bytes] | None = more.get("sign")
        self.subscriptions = dict.fromkeys(more.get("subscriptions", ()))
        self.on_message: Callable[[str, bytes], None] = more.get("on_message", print)
        self.on_change: Callable[[bool, str], None] = more.get("on_change", print)
        self.on_room: Callable[[], None] = more.get("on_room", print)
        self.refused: BrokerError | None = None
        self.connected = self.started = self.closed = False
        self.busy = False
        self.room = True
        self.progress = 0
        self.said: list[Said] = []

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.connected, self.closed = False, True

    def has_room(self, _: int) -> bool:
        return self.room

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, wait: bool = True
    ) -> bool:
        del wait
        if self.sign and qos:
            payload = self.sign(topic, payload)
        if self.connected and payload == QUESTION:
            self.on_message(topic, payload)
        elif self.connected:
            self.said.append(Said(topic, payload, retain))
        return self.connected

    def progressed(self) -> None:
        self.progress += 1

    def begin_anew(self, subscriptions: Mapping[str, int]) -> None:
        self.subscriptions = dict.fromkeys(subscriptions)
        self.lose()
        self.connect()

    def subscribe(self, topic: str, *, qos: int = 1) -> None:
        del qos
        self.subscriptions[topic] = None

    def unsubscribe(self, topic: str) -> None:
        self.subscriptions.pop(topic, None)

    # What the test does with it.

    def connect(self) -> None:
        self.connected = True
        self.on_change(True, "Connected.")

    def lose(self) -> None:
        self.connected = False
        self.on_change(False, "The connection was lost.")

    def take(self) -> list[Any]:
        """Give what was said since the last time, decoded; chunks as they are."""
        said, self.said = self.said, []
        return [_decoded(each) for each in said]


def _decoded(said: Said) -> Any:
    topics = Topics("chorus")
    if said.topic == topics.round:
        return Announcement.decode(said.payload)
    _, kind = topics.client_of(said.topic) or ("", "")
    decode: dict[str, Callable[[bytes], Any]] = {
        "presence": Presence.decode,
        "requests": decode_request,
        "replies": decode_reply,
    }
    return decode.get(kind, bytes)(said.payload)
