"""What reaches the loop, in which order, and what ends it."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import ChorusError, StorageError, WeightsError
from shared.loop import Loop
from tests.brokers import wait_until
from tests.loop_driver import LoopDriver


@pytest.fixture
def it() -> LoopDriver:
    return LoopDriver()


def raising(error: BaseException) -> Callable[..., None]:
    def action(*_: object) -> None:
        raise error

    return action


def test_actions_are_done_in_the_order_in_which_they_came(it: LoopDriver) -> None:
    done: list[int] = []
    for number in range(3):
        it.loop.put(lambda number=number: done.append(number))  # type: ignore[misc] # a default
    it.rest()
    assert done == [0, 1, 2]


def test_a_deadline_is_done_once_each_time_it_is_set(it: LoopDriver) -> None:
    done: list[float] = []
    deadline = it.loop.deadline(lambda: done.append(it.now))
    it.after(100)
    assert not done, "it was not set"
    deadline.within(5)
    deadline.within(2)
    deadline.within(9)
    it.after(100)
    assert done == [1102.0], "the earliest counts"
    deadline.within(5)
    deadline.cancel()
    it.after(10)
    deadline.within(0)
    it.rest()
    assert len(done) == 2


def test_what_has_arrived_goes_before_a_deadline_that_passed_meanwhile(it: LoopDriver) -> None:
    done: list[str] = []
    deadline = it.loop.deadline(lambda: done.append("deadline"))
    deadline.within(1)
    other = it.loop.deadline(lambda: done.append("moved"))
    other.within(1)
    it.loop.put(lambda: done.append("message"))
    it.loop.put(other.cancel)
    it.now += 2
    it.loop.put(lambda: done.append("later"))
    it.rest()
    assert done == ["message", "later", "deadline"]


def test_no_flood_keeps_a_deadline_waiting(it: LoopDriver) -> None:
    done: list[str] = []
    it.loop.deadline(lambda: done.append("deadline")).within(0)

    def flood() -> None:
        done.append("message")
        if len(done) < 100:
            it.loop.put(flood)

    it.loop.put(flood)
    it.rest()
    assert done.index("deadline") == 1


def test_a_time_that_its_owner_says_is_looked_at_each_turn(it: LoopDriver) -> None:
    times: list[float] = [1001.0, 1005.0]
    done: list[float] = []

    def do() -> None:
        done.append(it.now)
        times.pop(0)

    it.loop.watch(lambda: times[0] if times else None, do)
    it.after(10)
    assert done == [1001.0, 1005.0]


def test_what_is_for_later_is_done_in_the_order_of_its_time(it: LoopDriver) -> None:
    done: list[int] = []
    for seconds in (3, 1, 2, 1):
        it.loop.later(seconds, lambda seconds=seconds: done.append(seconds))  # type: ignore[misc] # a default
    it.after(5)
    assert done == [1, 1, 2, 3]


def test_a_flood_of_messages_is_cut_off_until_some_are_handled() -> None:
    it = LoopDriver(most_waiting=10_000)
    handled: list[None] = []
    for _ in range(100):
        it.loop.message("anna", bytes(500), lambda: handled.append(None))
    it.rest()
    assert len(handled) == 9
    it.loop.message("anna", bytes(500), lambda: handled.append(None))
    it.rest()
    assert len(handled) == 10


def test_a_message_ends_nothing_but_itself(
    it: LoopDriver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    it.loop.message("anna", b"", raising(KeyError("odd")))
    it.rest()
    assert "A message of anna could not be handled." in caplog.text
    it.loop.message("anna", b"", raising(StorageError("The disk is full.")))
    it.rest()
    assert [error.problem for error in it.full] == ["The disk is full."]


def test_a_full_disk_ends_one_action_and_its_owner_is_told() -> None:
    loop, full, done = Loop(), list[StorageError](), list[int]()
    loop.put(raising(StorageError("The disk is full.")))
    loop.put(lambda: done.append(1))
    loop.put(loop.stop)
    loop.put(lambda: done.append(2))
    loop.run(full.append)
    assert ([error.problem for error in full], done) == (["The disk is full."], [1])


def test_whatever_else_an_action_raises_ends_it() -> None:
    loop = Loop()
    loop.put(raising(ChorusError("The broker does not let it in.")))
    with pytest.raises(ChorusError, match="let it in"):
        loop.run(lambda _: None)


def test_it_is_woken_and_stopped_from_another_thread() -> None:
    loop, where = Loop(), list[str]()

    def outside() -> None:
        loop.put(lambda: where.append(threading.current_thread().name))
        loop.put(loop.stop)

    threading.Thread(target=outside).start()
    loop.run(lambda _: None)
    assert where == [threading.current_thread().name]


def test_a_workers_outcome_comes_back_to_the_loop(it: LoopDriver) -> None:
    it = LoopDriver(at_once=False)
    worker, done, failed = it.loop.worker("disk"), list[int](), list[ChorusError]()
    wrong = WeightsError("These are none.")
    worker.do(lambda: 7, done.append, failed.append)
    worker.do(raising(wrong), done.append, failed.append)
    it.rest()
    assert (done, failed) == ([], [])
    it.work("disk")
    assert (done, failed) == ([7], [wrong])
    worker.do(raising(KeyError("odd")), done.append, failed.append)
    with pytest.raises(KeyError, match="odd"):
        it.work("disk")


def test_real_workers_end_with_the_loop_and_leave_what_was_not_begun() -> None:
    pool = ThreadPoolExecutor(1)
    loop = Loop(thread=lambda _: pool)
    begun, go_on, done = threading.Event(), threading.Event(), list[object]()

    def work() -> str:
        begun.set()
        go_on.wait(30)
        return "finished"

    loop.worker("disk").do(work, done.append, done.append)
    late = pool.submit(lambda: done.append("begun too late"))
    assert begun.wait(30)
    closing = threading.Thread(target=loop.close)
    closing.start()
    wait_until(late.cancelled, "what was not begun is left")
    go_on.set()
    closing.join(30)
    loop.put(loop.stop)
    loop.run(lambda _: None)
    assert done == ["finished"]
