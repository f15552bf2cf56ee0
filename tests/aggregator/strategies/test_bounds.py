"""What one client can do to a round: how long its update may be, and how much it may weigh."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.strategies import Strategy, Update, make_strategy
from aggregator.strategies.bounds import ROUNDS, Bounds
from shared.weights import Weights, norm
from tests.aggregator.strategies.updates import rounds, updates, vector

HONEST = [(3.0, 4.0), (4.0, 3.0), (0.0, 5.0), (5.0, 0.0)]
ATTACK = (0.0, -990.0)


def strategy(name: str = "fedavg", **options: int) -> Strategy:
    made = make_strategy(name, **options)
    made.bounds = Bounds(norm=1.5, weight=1.5)
    return made


def step(made: Strategy, deltas: Sequence[Sequence[float]], counts: Sequence[int] = ()) -> Weights:
    arrived = updates(deltas, counts or [20] * len(deltas))
    return made.aggregate(vector(0, 0), arrived, examples=[one.examples for one in arrived])


@pytest.mark.parametrize("earlier", [0, 1, ROUNDS + 1])
def test_one_of_five_does_not_become_the_model(earlier: int) -> None:
    made = strategy()
    for _ in range(earlier):
        step(made, [*HONEST, (3.0, 4.0)])
    # It has at most 1.5 x 1.5 of the pull of one that is honest, whatever it claims and sends.
    result = step(made, [*HONEST, ATTACK], [20, 20, 20, 20, 10_000])
    expected = (np.sum(HONEST, 0) + 1.5 * np.array((0, -7.5))) / 5.5
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    unbounded = make_strategy("fedavg").aggregate(
        vector(0, 0), updates([*HONEST, ATTACK], [20, 20, 20, 20, 10_000])
    )
    assert norm(unbounded) > 900


@given(rounds())
def test_what_is_within_its_bounds_is_left_as_it_is(arrived: list[Update]) -> None:
    wide = Bounds(norm=1e60, weight=1e6)
    bounded = list(wide.bounded(arrived, [update.examples for update in arrived]))
    assert all(one is other for one, other in zip(bounded, arrived, strict=True))


@given(st.lists(rounds(), min_size=1, max_size=4), st.data())
def test_bounds_depend_on_neither_order_nor_restarts(
    course: list[list[Update]], data: st.DataObject
) -> None:
    lasting = Bounds(norm=1.5, weight=1.5)
    for arrived in course:
        restarted = Bounds(norm=1.5, weight=1.5)
        restarted.restore(lasting.memory)
        examples = [update.examples for update in arrived]
        first = {update.client: update for update in lasting.bounded(arrived, examples)}
        mixed = data.draw(st.permutations(arrived))
        second = {update.client: update for update in restarted.bounded(mixed, None)}
        for client, update in first.items():
            assert update.examples == second[client].examples
            assert update.delta[:].tobytes() == second[client].delta[:].tobytes()
            assert update.control is not None
            other = second[client].control
            assert other is not None
            assert update.control[:].tobytes() == other[:].tobytes()
        lasting.learn()
        restarted.learn()
        assert {name: array.tobytes() for name, array in lasting.memory.items()} == {
            name: array.tobytes() for name, array in restarted.memory.items()
        }


def test_a_round_of_attackers_does_not_widen_the_bounds() -> None:
    made = strategy()
    for _ in range(2):
        step(made, HONEST)
    step(made, [ATTACK, ATTACK])
    result = step(made, [ATTACK])
    assert norm(result) == pytest.approx(7.5)


def test_a_training_whose_updates_grow_is_followed() -> None:
    made = strategy()
    for _ in range(ROUNDS):
        step(made, HONEST)
    for _ in range(ROUNDS // 2 + 1):
        step(made, [(30.0, 40.0)] * 4)
    assert norm(step(made, [(30.0, 40.0)] * 4)) == pytest.approx(50)


def test_of_two_neither_is_made_nothing_and_the_longer_is_bounded_by_the_shorter() -> None:
    made = strategy()
    result = step(made, [(3.0, 4.0), ATTACK], [20, 10_000])
    np.testing.assert_allclose(result, (np.array((3, 4)) + 1.5 * np.array((0, -7.5))) / 2.5)
    assert step(strategy(), [(3.0, 4.0)], [10_000]).tolist() == [3, 4], "one alone is the round"


def test_updates_that_changed_nothing_do_not_stop_the_others() -> None:
    made = strategy()
    step(made, [(0.0, 0.0)] * 3)
    assert norm(step(made, HONEST)) > 0


def test_remarks_name_who_was_bounded_and_who_has_more_than_half() -> None:
    made = strategy()
    step(made, HONEST)
    assert made.bounds.remarks == []
    step(made, [*HONEST, (6.0, 8.0)], [20, 20, 20, 20, 60])  # a little beyond: nothing to say
    assert made.bounds.remarks == []
    step(made, [(3.0, 4.0), (4.0, 3.0), ATTACK], [20, 20, 10_000])
    shortened, lightened, half = made.bounds.remarks
    assert "client-002: 990 to 7.5" in shortened
    assert "client-002: 10000 as 30" in lightened
    assert "client-002 has 53% of the round" in half
    many = [ATTACK] * 3 + HONEST
    step(made, many[::-1] + HONEST + [ATTACK] * 2)
    assert made.bounds.remarks[0].endswith("; and 2 more.")


def test_control_variates_are_left_as_they_are() -> None:
    made = strategy("scaffold", clients=10)
    for longest in (10.0, 1e9):
        before = made.broadcast().get("control", vector(0, 0)).copy()
        arrived = [
            Update(name, 20, vector(1, 0), vector(0, length))
            for name, length in (("anna", 1.0), ("ben", 1.0), ("cleo", longest))
        ]
        made.aggregate(vector(0, 0), arrived, examples=[20] * 3)
        change = (made.broadcast()["control"] - before) * 10
        np.testing.assert_allclose(change, (0, 2 + longest), rtol=1e-5)


def test_what_earlier_versions_remembered_of_control_variates_is_left_aside() -> None:
    made = strategy("scaffold", clients=10)
    state = {
        "control": vector(0, 1),
        "bounds.norms": np.array([5.0]),
        "bounds.controls": np.array([2.0]),
    }
    made.restore(state)
    assert set(made.state()) == {"control", "bounds.norms"}
    arrived = [Update("anna", 20, vector(9, 12), vector(0, 100))]
    assert norm(made.aggregate(vector(0, 0), arrived, examples=[20])) == pytest.approx(7.5)
    assert made.broadcast()["control"].tolist() == [0, 11]


def test_a_round_that_failed_is_not_remembered() -> None:
    made = strategy("krum", byzantine=1)
    with pytest.raises(Exception, match="at least 5 updates"):
        step(made, HONEST)
    assert not made.memory


def test_only_the_first_round_needs_all_updates_at_hand() -> None:
    made = strategy()
    assert made.reads_twice
    step(made, HONEST)
    assert not made.reads_twice

    def arriving() -> Iterator[Update]:
        for update in updates(HONEST):
            yield update
            seen.append(update.client)

    seen: list[str] = []
    bounded = made.bounds.bounded(arriving(), [1] * 4)
    next(bounded)
    next(bounded)
    assert len(seen) == 1


@pytest.mark.parametrize("value", [[-1.0], [0.0], [float("nan")], [float("inf")], [1.0] * 6])
def test_what_are_no_norms_is_not_restored(value: list[float]) -> None:
    with pytest.raises(ValueError, match="norms"):
        Bounds(norm=1.5).restore({"bounds.norms": np.array(value)})
