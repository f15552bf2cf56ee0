"""Federations whose server knows the sum of a round's updates only."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.strategies import Update
from aggregator.strategies.fedavg import FedAvg
from aggregator.strategies.ring_sum import add, first_octaves, read_sum
from aggregator.strategies.settings import check_sum_is_enough
from edge_client.learning.client_round import Assignment, Contribution, client_round
from edge_client.learning.summand import summand
from edge_client.simulation.checkpoint import Checkpoint
from edge_client.simulation.federation import client_name
from edge_client.simulation.secure_federation import SecureFederation, round_ring
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.start_checks import check_parts
from edge_client.simulation.trainer import RoundOutcome
from shared.codecs.ring import Ring, RingCodec
from shared.errors import SettingsError
from shared.secure.masks import Numbers
from shared.tally import ring_size
from shared.training import Examples, TrainingSettings
from shared.weights import Weights
from tests.edge_client.simulation.test_federation import (
    CLIENTS,
    START,
    UNBOUNDED,
    federation,
    go_on_after_each_round,
    run,
    simulation,
)
from tests.edge_client.tiny import TINY, NumpyEngine, examples


def secure(
    clients: list[Examples] = CLIENTS, folder: Path | None = None, **values: Any
) -> SecureFederation:
    settings = simulation(secure=True, **values)
    return SecureFederation(settings, [NumpyEngine(), NumpyEngine()], clients, folder)


def numbers_of(ring: Ring, index: int) -> Numbers:
    """Have one client take part in the first round, as a device would."""
    codec = RingCodec(ring, len(CLIENTS[index]))
    settings = simulation().part(TrainingSettings)
    own = Assignment(client_name(index), 1, 0, START, CLIENTS[index], settings, codec)
    outcome = client_round(own, NumpyEngine())
    assert isinstance(outcome, Contribution)
    return summand(outcome, codec, TINY)


def apart(found: RoundOutcome, plain: RoundOutcome) -> float:
    """Say how far two rounds' models lie apart, as a share of what the round changed."""
    changed = np.linalg.norm(plain.weights - START)
    return float(np.linalg.norm(found.weights - plain.weights) / changed)


def test_the_sum_is_nearly_fedavg_weighted_by_examples() -> None:
    found, plain = secure().run(1, START), federation(**UNBOUNDED).run(1, START)
    assert apart(found, plain) < 0.02
    assert found.loss == pytest.approx(plain.loss, abs=1e-3)
    assert run(secure(), range(1, 7))[-1].loss < 0.8 * found.loss, "it goes on learning"


def test_a_client_counts_up_to_the_cap() -> None:
    heavy = secure(ring_examples=5)
    lists = [one.take(np.arange(5)) for one in CLIENTS]
    alike = run(federation(lists, **UNBOUNDED), range(1, 2))[0].loss
    assert heavy.run(1, START).loss != pytest.approx(alike, abs=1e-6), "it learned from all"
    ring = round_ring(heavy._settings, 4, first_octaves(START, TINY))
    total = np.sum([numbers_of(ring, index) for index in range(4)], axis=0, dtype=np.uint32)
    assert read_sum(total & np.uint32(ring.mask), 4, ring, TINY).weight == 4 * 5


def test_a_round_is_what_devices_add_up_in_any_order() -> None:
    rounds = secure()
    outcome = rounds.run(1, START)
    ring = round_ring(rounds._settings, 4, first_octaves(START, TINY))
    total = np.zeros(ring_size(ring, TINY), np.uint32)
    masks = np.random.default_rng(0).integers(0, 1 << ring.bits, (2, len(total)), np.uint32)
    add(total, masks[0], ring)
    for index in (2, 0, 3, 1):
        add(total, numbers_of(ring, index), ring)
    add(total, -masks[0] & np.uint32(ring.mask), ring)
    found = read_sum(total, 4, ring, TINY)
    assert (found.direction + START).tobytes() == outcome.weights.tobytes()
    assert found.loss == outcome.loss
    assert found.octaves == rounds._octaves


def test_what_is_announced_follows_the_size_of_updates() -> None:
    small, large = secure(learning_rate=1e-5), secure(learning_rate=0.1)
    run(small, range(1, 4))
    run(large, range(1, 4))
    assert max(small._octaves) + 6 < max(large._octaves)


def test_the_sum_of_those_who_answer_counts() -> None:
    values: dict[str, Any] = {"client_dropout": 0.5, "seed": 3}
    found, plain = secure(**values).run(1, START), federation(**values, **UNBOUNDED).run(1, START)
    assert 0 < found.clients == plain.clients < 4
    assert apart(found, plain) < 0.02
    assert found.loss == pytest.approx(plain.loss, abs=1e-3)


@pytest.mark.parametrize("values", [{}, {"strategy": "fedadam", "fraction": 0.5}])
def test_going_on_after_any_round_ends_in_the_same(tmp_path: Path, values: dict[str, Any]) -> None:
    go_on_after_each_round(partial(secure, **values), 4, tmp_path)


def test_a_checkpoint_takes_what_is_announced(tmp_path: Path) -> None:
    rounds = secure()
    rounds.run(1, START)
    Checkpoint(0, START, START, START, rounds.state()).save(tmp_path / "checkpoint")
    loaded = Checkpoint.load(tmp_path / "checkpoint", TINY)
    again = secure()
    again.restore(0, dict(loaded.state))
    assert again._octaves == rounds._octaves


def test_bytes_are_those_of_packed_numbers() -> None:
    rounds = secure()
    ring = round_ring(rounds._settings, 4, first_octaves(START, TINY))
    assert rounds.run(1, START).bytes_up == 4 * -(-ring_size(ring, TINY) * 13 // 8)


@pytest.mark.parametrize("strategy", ["median", "trimmed-mean", "krum", "multi-krum", "scaffold"])
def test_strategies_that_compare_single_updates_are_refused(strategy: str) -> None:
    with pytest.raises(SettingsError, match=f"{strategy} needs single updates.*are lost"):
        check_parts(simulation(secure=True, strategy=strategy, clients=8, optimizer="sgd"))


def test_a_strategy_with_a_combine_of_its_own_needs_single_updates() -> None:
    class Slower(FedAvg):
        """Averages as its parent does."""

    class Other(Slower):
        """Combines in its own way."""

        def combine(self, updates: Iterable[Update]) -> Weights:
            return super().combine(updates)

    assert [Slower.needs_single_updates, Other.needs_single_updates] == [False, True]


@pytest.mark.parametrize("values", [{"bound_norm": 2}, {"bound_weight": 1.5}])
def test_bounds_of_single_updates_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="compares single updates"):
        check_sum_is_enough(simulation(secure=True, **values))


def test_a_codec_or_an_attack_on_single_updates_is_refused() -> None:
    with pytest.raises(SettingsError, match="a codec of their own"):
        simulation(secure=True, codec="int8")
    with pytest.raises(SettingsError, match="changes single updates"):
        simulation(secure=True, attack="scale")


def test_too_many_clients_overflow_the_ring() -> None:
    clients = [examples(2, seed) for seed in range(3)] * 43
    with pytest.raises(SettingsError, match="would overflow: the sum of 129 clients"):
        secure(clients, ring_bits=8).run(1, START)


@pytest.mark.parametrize("name", ["ring_bits", "ring_examples"])
def test_what_belongs_to_secure_rounds_is_not_taken_in_silence_without_them(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is for secure rounds: give secure too"):
        SimulationSettings.parse({name: 9})
    assert SimulationSettings.parse({name: 9, "secure": True}).secure
