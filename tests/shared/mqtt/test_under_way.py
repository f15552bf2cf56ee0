"""What is on its way to the broker, and what it never acknowledges."""

import pytest

from shared.mqtt.under_way import UnderWay

PATIENCE = 60.0


class Sender:
    """Something that sends, and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.under_way = UnderWay(lambda: self.now)
        self._mids = iter(range(1, 1000))

    def send(self, size: int = 100, *, acknowledged: bool = True) -> int:
        mid = next(self._mids)
        self.under_way.begin(size)
        self.under_way.handed_over(mid, size, acknowledged=acknowledged)
        return mid

    @property
    def overdue(self) -> bool:
        return self.under_way.overdue(PATIENCE)


def test_bytes_are_counted_from_their_beginning_until_they_arrive() -> None:
    under_way = UnderWay()
    under_way.begin(100)
    under_way.begin(50)
    under_way.fail(50)
    assert under_way.bytes == 100
    under_way.handed_over(7, 100, acknowledged=True)
    assert under_way.fits(100, 200)
    assert not under_way.fits(101, 200)
    under_way.arrive(7)
    assert under_way.bytes == 0
    assert under_way.fits(10_000, 200), "one message always fits"


def test_what_arrives_before_its_number_is_known_counts_once() -> None:
    under_way = UnderWay()
    under_way.begin(100)
    under_way.arrive(3)
    under_way.handed_over(3, 100, acknowledged=True)
    assert under_way.bytes == 0
    assert not under_way.overdue(-1.0)


def test_a_message_that_is_never_acknowledged_is_overdue() -> None:
    sender = Sender()
    sender.send()
    sender.now = PATIENCE
    assert not sender.overdue
    sender.now = PATIENCE + 1
    assert sender.overdue
    sender.under_way.clear()
    assert not sender.overdue


def test_later_acknowledgements_do_not_hide_a_lost_one() -> None:
    sender = Sender()
    sender.send()
    for _ in range(70):
        later = sender.send()
        sender.now += 1
        sender.under_way.arrive(later)
    assert sender.overdue


def test_a_message_is_waited_for_from_when_all_before_it_are_gone() -> None:
    sender = Sender()
    chunk = sender.send(1 << 20, acknowledged=False)
    offer = sender.send()
    sender.now = 1000.0  # the line is slow
    assert not sender.overdue, "nothing is owed for what is still being written"
    sender.under_way.arrive(chunk)
    sender.now += PATIENCE
    assert not sender.overdue
    sender.under_way.arrive(offer)
    sender.now += 1000.0
    assert not sender.overdue


@pytest.mark.parametrize(("size", "seconds"), [(8 << 10, 1.0), (1 << 20, 128.0)])
def test_a_large_message_has_its_time_on_a_slow_line(size: int, seconds: float) -> None:
    sender = Sender()
    sender.send(size)
    sender.now = PATIENCE + seconds
    assert not sender.overdue
    sender.now += 0.1
    assert sender.overdue
