"""A finished update on its way, and what is done when nobody answers."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from edge_client.federation.client_state import ClientState
from edge_client.federation.delivery import Delivery
from edge_client.federation.terms import TermsSettings
from edge_client.federation.transfers import FRUITLESS, PATIENCE
from shared.protocol.frames import Chunk
from shared.protocol.messages import Offer, Received
from shared.protocol.topics import Topics
from tests.edge_client.federation.announcements import RUN
from tests.loop_driver import FakeConnection, LoopDriver

CONTENT = bytes(range(250)) * 20
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Delivers:
    """A delivery, with what the aggregator would do in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.driver = LoopDriver()
        self.connection = FakeConnection()
        self.in_vain: list[Any] = []
        self.dropped: list[str] = []
        self.connection.connected = True
        self.client_state = ClientState(folder)
        self.client_state.enter(RUN)
        self.client_state.write_update(lambda path: path.write_bytes(CONTENT))
        offer = Offer(
            update=DIGEST,
            size=len(CONTENT),
            run=RUN,
            round=1,
            model="1" * 64,
            codec="float32",
            examples=3,
        )
        self.client_state.finish(offer, residual=None, control=None)
        self.delivery = Delivery(
            self.client_state,
            self.connection,  # type: ignore[arg-type] # it stands in
            Topics("chorus"),
            loop=self.driver.loop,
            worker=self.driver.loop.worker("files"),
            terms=TermsSettings(),
            in_vain=self.in_vain.append,
            dropped=lambda _, why: self.dropped.append(why),
        )

    def begin(self, chunk: int) -> None:
        self.delivery.begin(chunk)
        self.driver.rest()

    def take(self) -> list[Any]:
        """Give what was sent: ``"offer"``, or a chunk's range."""
        said = [
            one if isinstance(one, Offer) else Chunk.decode(one) for one in self.connection.take()
        ]
        return ["offer" if isinstance(one, Offer) else (one.offset, one.end) for one in said]

    def told(self, *ranges: tuple[int, int], window: int = 2000) -> None:
        self.delivery.told(Received(update=DIGEST, ranges=list(ranges), window=window))


@pytest.fixture
def it(tmp_path: Path) -> Delivers:
    one = Delivers(tmp_path)
    one.begin(1000)
    return one


def test_it_is_offered_and_sent_as_far_as_it_may(it: Delivers) -> None:
    assert it.delivery.chunk == 1000
    assert it.take() == ["offer"]
    it.told()
    assert it.take() == [(0, 1000), (1000, 2000)]
    it.told((0, 2000))
    assert it.take() == [(2000, 3000), (3000, 4000)]
    it.told((0, 4000))
    it.told((0, 5000))
    assert it.take() == [(4000, 5000)]


def test_it_goes_on_when_the_line_has_room_again(it: Delivers) -> None:
    it.take()
    it.connection.room = False
    it.told()
    assert it.take() == []
    it.connection.room = True
    it.delivery.go_on()
    assert it.take() == [(0, 1000), (1000, 2000)]


def test_it_is_offered_again_when_nothing_is_heard_but_not_while_it_goes_out(
    it: Delivers,
) -> None:
    it.take()
    it.connection.busy = True
    it.driver.after(5 * PATIENCE)
    assert it.take() == []
    it.connection.busy = False
    it.driver.after(2 * PATIENCE)
    assert it.take() == ["offer"]
    it.connection.connected = False
    it.driver.after(5 * PATIENCE)
    it.connection.connected = True
    it.delivery.restart()
    assert it.take() == ["offer"]


def test_after_a_break_all_that_is_not_safe_is_sent_again(it: Delivers) -> None:
    it.told()
    it.take()
    it.delivery.restart()
    it.told((0, 1000))
    assert it.take() == ["offer", (1000, 2000), (2000, 3000)]


def test_it_begins_anew_in_the_chunks_that_are_announced_now(it: Delivers) -> None:
    it.told()
    it.take()
    it.begin(2500)
    it.told(window=5000)
    assert it.take() == ["offer", (0, 2500), (2500, 5000)]


def test_what_cannot_be_read_any_more_is_looked_at_and_dropped(it: Delivers) -> None:
    it.take()
    it.client_state.update.write_bytes(CONTENT[:1500])
    it.told()
    assert it.take() == [(0, 1000)], "no chunk is cut short"
    it.driver.rest()
    (why,) = it.dropped
    assert why.startswith("The update of round 1 is lost: its file")
    it.driver.after(5 * PATIENCE)
    assert it.take() == []


def test_what_is_looked_at_is_offered_only_if_it_is_still_the_update(tmp_path: Path) -> None:
    it = Delivers(tmp_path)
    it.delivery.begin(1000)
    it.client_state.decide(refused="late")
    it.driver.rest()
    assert it.take() == it.dropped == []


def test_one_that_arrived_damaged_waits_before_it_is_offered_again(it: Delivers) -> None:
    it.told()
    it.take()
    it.delivery.arrived_damaged("What arrived is not what was offered.")
    it.driver.rest()
    assert it.take() == []
    it.driver.after(2 * PATIENCE)
    assert it.take() == ["offer"]


def test_what_is_begun_while_it_is_looked_at_for_damage_is_offered(tmp_path: Path) -> None:
    it = Delivers(tmp_path)
    it.delivery.arrived_damaged("What arrived is not what was offered.")
    it.begin(1000)
    assert it.delivery.chunk == 1000
    assert it.take() == ["offer"]


def test_one_that_arrived_damaged_from_an_earlier_process_waits_until_it_is_begun(
    tmp_path: Path,
) -> None:
    it = Delivers(tmp_path)
    it.delivery.arrived_damaged("What arrived is not what was offered.")
    it.driver.after(5 * PATIENCE)
    assert it.take() == []
    it.begin(1000)
    assert it.take() == ["offer"]


def test_other_chunks_that_are_announced_while_it_is_looked_at_for_damage_hold(
    it: Delivers,
) -> None:
    it.told()
    it.take()
    it.delivery.arrived_damaged("What arrived is not what was offered.")
    it.begin(2500)
    assert it.delivery.chunk == 2500
    it.told(window=5000)
    assert it.take() == ["offer", (0, 2500), (2500, 5000)]


def test_one_that_was_decided_on_is_not_sent_any_more(it: Delivers) -> None:
    it.take()
    it.delivery.end()
    it.told()
    it.driver.after(5 * PATIENCE)
    assert it.take() == []
    assert it.delivery.chunk is None


def test_the_connection_learns_that_it_gets_on_and_not_that_it_is_told_the_same(
    it: Delivers,
) -> None:
    it.told()
    assert it.connection.progress == 0
    it.told((0, 2000))
    assert it.connection.progress == 1
    it.delivery.restart()
    it.told()
    it.told((0, 2000))
    assert it.connection.progress == 1
    it.told((0, 3000))
    assert it.connection.progress == 2


def test_what_is_sent_again_and_again_in_vain_is_said_once(it: Delivers) -> None:
    for _ in range(FRUITLESS + 2):
        it.told()  # the aggregator is there, and nothing gets to it
        it.driver.after(2 * PATIENCE + 1)
    assert [error.problem for error in it.in_vain] == [
        "The update was sent 3 times, and nothing comes of it."
    ]
    assert "--chunk" in it.in_vain[0].message


def test_who_waits_for_its_turn_or_gets_on_sends_nothing_in_vain(it: Delivers) -> None:
    for number in range(2 * FRUITLESS):
        it.told(window=0)
        it.driver.after(2 * PATIENCE + 1)
        it.told((0, 100 * (number + 1)))
        it.driver.after(2 * PATIENCE + 1)
    assert it.in_vain == []
