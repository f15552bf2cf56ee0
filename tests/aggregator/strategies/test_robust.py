"""Median, trimmed mean, Krum and multi-Krum."""

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.strategies import Strategy, Update, arithmetic, make_strategy
from aggregator.strategies.krum import Krum, MultiKrum
from aggregator.strategies.median import Median
from aggregator.strategies.trimmed_mean import TrimmedMean
from shared.errors import TrainingError
from shared.vector_file import VectorFile
from tests.aggregator.strategies.updates import rounds, updates, vector

ROBUST = ("median", "trimmed-mean", "krum", "multi-krum")


def test_median_of_an_odd_number() -> None:
    result = Median().aggregate(vector(1, 1), updates([(5, -1), (0, 9), (1, 3)], [1, 900, 1]))
    assert result.tolist() == [2, 4]


def test_median_of_an_even_number() -> None:
    assert Median().combine(updates([(1,), (9,), (2,), (4,)])).tolist() == [3]


@settings(deadline=None)
@given(rounds(), st.data())
def test_median_does_not_know_who_sent_what(arrived: list[Update], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(arrived))))
    shuffled = [
        dataclasses.replace(update, delta=arrived[i].delta)
        for update, i in zip(arrived, order, strict=True)
    ]
    one, other = Median().combine(arrived), Median().combine(shuffled)
    assert one.tobytes() == other.tobytes()
    deltas = [update.delta[:] for update in arrived]
    np.testing.assert_allclose(one, np.median(deltas, axis=0), rtol=1e-6, atol=1e-30)


def test_trimmed_mean() -> None:
    deltas = [(1, 0), (100, 0), (3, 0), (-100, 0), (5, 6)]
    result = TrimmedMean(trim=0.2).aggregate(vector(1, 1), updates(deltas))
    assert result.tolist() == [4, 1]


def test_a_small_fraction_still_trims_one_at_either_end() -> None:
    assert TrimmedMean(trim=0.1).combine(updates([(1,), (2,), (900,)])).tolist() == [2]


def test_a_rounding_error_does_not_trim_one_more() -> None:
    # 0.07 * 100 is 7.000000000000001.
    values = [(-1000,)] * 7 + [(-83,)] + [(3,)] * 85 + [(1000,)] * 7
    assert TrimmedMean(trim=0.07).combine(updates(values)).tolist() == [2]


def test_trimming_everything_away_is_refused() -> None:
    with pytest.raises(TrainingError, match="leaves out 1 updates at either end, but only 2"):
        TrimmedMean(trim=0.1).combine(updates([(1,), (2,)]))


CLUSTER = [(0, 0), (1, 0), (0, 2), (3, 3), (100, -100)]
"""With f = 1, each scores its squared distances to the two nearest of the others:
(0, 0): 1 + 4; (1, 0): 1 + 5; (0, 2): 4 + 5; (3, 3): 10 + 13; the last one is far away."""


def test_krum_takes_the_one_closest_to_its_neighbours() -> None:
    scrambled = [CLUSTER[i] for i in (4, 2, 1, 3, 0)]
    result = Krum(byzantine=1).aggregate(vector(7, 8), updates(scrambled, [900, 1, 1, 1, 1]))
    assert result.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("select", "expected"),
    [(None, [1, 1.25]), (3, [1 / 3, 2 / 3]), (2, [0.5, 0]), (1, [0, 0])],
)
def test_multi_krum_averages_the_best(select: int | None, expected: list[float]) -> None:
    result = MultiKrum(byzantine=1, select=select).combine(updates(CLUSTER))
    assert result == pytest.approx(expected)


def test_krum_needs_enough_updates() -> None:
    with pytest.raises(TrainingError, match=r"krum needs at least 5 updates .* only 4 arrived"):
        Krum(byzantine=1).combine(updates(CLUSTER[:4]))


def test_multi_krum_cannot_select_the_dishonest() -> None:
    with pytest.raises(TrainingError, match="cannot select 5 of 5 updates and leave out 1"):
        MultiKrum(byzantine=1, select=5).combine(updates(CLUSTER))


@pytest.mark.parametrize("name", ROBUST)
def test_one_liar_among_five_changes_little(name: str) -> None:
    rng = np.random.default_rng(5)
    honest = 1 + 0.1 * rng.standard_normal((4, 20))
    liar = np.full((1, 20), -1e6)
    options = {"trim": 0.2} if name == "trimmed-mean" else {}
    direction = make_strategy(name, **options).combine(updates([*honest, *liar]))
    assert np.abs(direction - 1).max() < 0.35


@pytest.mark.parametrize("name", ROBUST)
@settings(max_examples=40, deadline=None)
@given(arrived=rounds(least=5, exact=True), block=st.integers(1, 60))
def test_pieces_do_not_show(name: str, arrived: list[Update], block: int) -> None:
    whole = make_strategy(name).combine(arrived)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arithmetic, "BLOCK", block)
        assert make_strategy(name).combine(arrived).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", ROBUST)
def test_memory_does_not_grow_with_clients_whose_updates_are_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "BLOCK", 1 << 17)
    length, clients = 1_000_000, 12
    weights = np.zeros(length, np.float32)
    arrived = []
    for client in range(clients):
        values = np.full(length, client, np.float32)
        file = VectorFile.write(tmp_path / f"client-{client:03d}", values)
        arrived.append(Update(f"client-{client:03d}", 1, file))
    strategy: Strategy = make_strategy(name)
    tracemalloc.start()
    try:
        strategy.aggregate(weights, arrived)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The direction; the block that is read; in Krum also its differences, old and new, in float64.
    assert peak < weights.nbytes + 8 * 4 * arithmetic.BLOCK
    assert peak < 2.1 * weights.nbytes
