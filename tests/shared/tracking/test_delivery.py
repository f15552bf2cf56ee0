"""Runs reach a tracker beside the work, whether it is there or not."""

import threading

import pytest

from shared.errors import TrackingError
from shared.tracking import Delivery, Point, TrackedRun
from tests.brokers import BOUND, wait_until

AWAY = "MLflow at lab does not answer. The runs go on, and are delivered when it does."


class Tracker:
    """A tracker that can be away; it notes how many points of which run have arrived."""

    def __init__(self) -> None:
        self.away = False
        self.refuses = ""
        self.attempts = 0
        self.arrived: dict[str, int] = {}
        self.said: list[str] = []

    def deliver(self, run: TrackedRun) -> None:
        self.attempts += 1
        if self.away:
            raise TrackingError("MLflow at lab does not answer.", away=True)
        if run.name == self.refuses:
            raise TrackingError("MLflow at lab does not take this: no.")
        self.arrived[run.name] = len(run.points)


def grown(name: str, points: int) -> TrackedRun:
    return TrackedRun("study", name, name, {}, [Point(n, 0.0, {}) for n in range(points)])


@pytest.fixture
def tracker() -> Tracker:
    return Tracker()


def test_what_is_new_is_delivered_while_the_run_goes(tracker: Tracker) -> None:
    delivery = Delivery(tracker.deliver, tracker.said.append)
    run = grown("one", 1)
    delivery.changed(run)
    wait_until(lambda: tracker.arrived == {"one": 1}, "the first point has arrived")
    run.points.append(Point(1, 0.0, {}))
    delivery.changed(run)
    delivery.close()
    assert tracker.arrived == {"one": 2}
    assert not tracker.said


def test_a_tracker_that_is_away_is_named_once_and_delivered_to_when_it_is_back(
    tracker: Tracker,
) -> None:
    tracker.away = True
    delivery = Delivery(tracker.deliver, tracker.said.append, again=0.01)
    for name in ("one", "two"):
        delivery.changed(grown(name, 3))
    wait_until(lambda: tracker.attempts > 3, "it was tried again and again")
    assert tracker.said == [AWAY]
    tracker.away = False
    wait_until(lambda: tracker.arrived == {"one": 3, "two": 3}, "all has arrived")
    delivery.close()
    assert tracker.said == [AWAY, "MLflow answers again, and gets what it has missed."]


def test_what_could_not_be_delivered_in_the_end_is_named_with_the_way_to_do_it(
    tracker: Tracker,
) -> None:
    tracker.away = True
    delivery = Delivery(tracker.deliver, tracker.said.append, again=BOUND)
    delivery.changed(grown("one", 1))
    wait_until(lambda: tracker.said, "it was found away")
    delivery.changed(grown("two", 1))
    delivery.close()
    assert tracker.said[0] == AWAY
    assert tracker.said[1].startswith("Not delivered: ")
    assert {"one", "two"} == set(tracker.said[1].split(".")[0].split(": ")[1].split(", "))
    assert not [thread for thread in threading.enumerate() if thread.name == "tracking"]


def test_a_run_that_is_refused_keeps_no_other_back(tracker: Tracker) -> None:
    tracker.refuses = "one"
    delivery = Delivery(tracker.deliver, tracker.said.append)
    for name in ("one", "two"):
        delivery.changed(grown(name, 1))
    delivery.close()
    assert tracker.arrived == {"two": 1}
    assert tracker.said == ["one: MLflow at lab does not take this: no."]
