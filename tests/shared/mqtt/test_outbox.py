"""What waits for room on its way to the broker, and who waits for whom."""

import threading
from types import SimpleNamespace
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from shared.errors import StorageError
from shared.mqtt.outbox import OUT_BYTES, Outbox
from tests.brokers import BOUND, wait_until


class Line:
    """Stands in for paho's client: takes everything, and acknowledges nothing by itself."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def publish(self, _: str, payload: bytes, *__: Any) -> Any:
        self.taken.append(payload)
        return SimpleNamespace(rc=mqtt.MQTT_ERR_SUCCESS, mid=len(self.taken))


class Signs:
    """Signs with a number that grows, unless the disk is full."""

    def __init__(self) -> None:
        self.full = False
        self.number = 0

    def __call__(self, _: str, payload: bytes) -> bytes:
        if self.full:
            raise StorageError.full_disk("the counter")
        self.number += 1
        return payload + b" %d" % self.number


@pytest.fixture
def signs() -> Signs:
    return Signs()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def outbox(signs: Signs, line: Line) -> Outbox:
    """Make one that has no room for who waits, until message 1 arrives."""
    outbox = Outbox(signs)
    outbox.open(line)  # type: ignore[arg-type] # it stands in
    assert outbox.publish("t", bytes(OUT_BYTES), qos=0, retain=False, wait=False)
    line.taken.clear()
    line.taken.append(b"what fills it")
    return outbox


def in_a_thread(outbox: Outbox, payload: bytes, *, wait: bool) -> threading.Thread:
    thread = threading.Thread(
        target=lambda: outbox.publish("t", payload, qos=1, retain=False, wait=wait), daemon=True
    )
    thread.start()
    return thread


def test_who_waits_for_room_with_a_signed_message_holds_up_nobody_who_does_not(
    outbox: Outbox, line: Line
) -> None:
    waits = in_a_thread(outbox, b"waits", wait=True)
    wait_until(lambda: outbox._changed._waiters, "it waits")  # type: ignore[attr-defined] # Condition's own
    answer = in_a_thread(outbox, b"answer", wait=False)
    answer.join(BOUND)
    assert not answer.is_alive()
    assert waits.is_alive()
    outbox.arrive(1)
    waits.join(BOUND)
    assert line.taken[1:] == [b"answer 1", b"waits 2"], "as they were signed"


def test_what_cannot_be_signed_takes_no_room(outbox: Outbox, signs: Signs) -> None:
    outbox.arrive(1)
    signs.full = True
    with pytest.raises(StorageError):
        outbox.publish("t", b"word", qos=1, retain=False, wait=True)
    assert outbox.under_way == 0


def test_nothing_is_signed_that_cannot_be_sent(outbox: Outbox, signs: Signs) -> None:
    outbox.close()
    assert not outbox.publish("t", b"word", qos=1, retain=False, wait=True)
    assert signs.number == 0
