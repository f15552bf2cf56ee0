"""Secure rounds of a federation end in the simulation's bits, whoever is killed on the way."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
import pytest

from edge_client.simulation.federation import client_name
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.settings import SimulationSettings
from shared.protocol.messages import Announcement
from shared.randomness import stream
from shared.secure.terms import Stage
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples
from tests.end_to_end.federation.world import SETTINGS, TOPICS, World, world

DATA = [examples(count, number) for number, count in enumerate((24, 8, 12, 16))]
EVERYBODY = tuple(range(len(DATA)))
STAGES = (Stage.KEYS, Stage.SHARES, Stage.MASKED, Stage.CONSENT, Stage.UNMASKING)


def secure_world(rounds: int) -> AbstractContextManager[World]:
    return world(
        data=DATA,
        by_invitation=True,
        secure=True,
        quorum=len(DATA),
        rounds=rounds,
        round_seconds=60,
        every=0,
    )


@cache
def simulated(*rounds: tuple[int, tuple[int, ...]]) -> Weights:
    """Give the weights after rounds, each with a number and those whose updates are in its sum."""
    settings = SimulationSettings.parse({"rounds": 9, "seed": SETTINGS["seed"], "secure": True})
    simulation = SecureFederation(settings, [NumpyEngine()], DATA)
    weights = initial_weights(TINY, stream(settings.seed, "initial weights"))
    for number, survivors in rounds:
        weights, _ = simulation._next(number, weights, len(DATA), list(survivors))
    return weights


def stage_of(it: World) -> Stage | None:
    found = it.server and it.server.federation.secure and it.server.federation.secure.round
    return found.stage if found else None


def counted(it: World, number: int) -> list[str]:
    assert it.server
    return [update.client for update in it.server.federation.ledger.updates(number)]


def names(clients: Sequence[int]) -> list[str]:
    return [client_name(number) for number in clients]


def test_it_ends_in_the_bits_of_the_simulation() -> None:
    with secure_world(rounds=2) as it:
        it.settle()
        np.testing.assert_array_equal(it.weights, simulated((1, EVERYBODY), (2, EVERYBODY)))
        assert it.server
        ledger = it.server.federation.ledger
        assert not ledger.refusals()
        record = ledger.round(2)
        assert record
        assert record.loss is not None
        assert record.confusion is None  # nothing was held out
        assert counted(it, 2) == names(EVERYBODY)
        for update in ledger.updates(2):
            assert (update.codec, update.examples, update.norm) == ("ring", 0, 0.0)
            assert (update.loss, update.confusion) == (None, None)
        last = Announcement.decode(it.network.retained[TOPICS.round])
        assert last.secure
        assert not last.secure.devices
        assert not it.server.federation.folder.secure.joinpath("2").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_with_a_device_killed_in_a_stage_it_ends_in_the_bits_of_those_who_survive(
    stage: Stage,
) -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        it.kill_client(3)
        while not it.ended:
            it.step()
        assert it.server
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.state == "done"
        survivors = [int(name[-2:]) for name in counted(it, 1)]
        assert set(survivors) >= {0, 1, 2}
        np.testing.assert_array_equal(it.weights, simulated((1, tuple(sorted(survivors)))))


@pytest.mark.parametrize("stage", STAGES)
def test_an_aggregator_killed_in_a_stage_goes_on_from_there(stage: Stage) -> None:
    with secure_world(rounds=1) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        it.kill_server()
        it.settle()
        np.testing.assert_array_equal(it.weights, simulated((1, EVERYBODY)))


def test_a_round_of_too_few_is_abandoned_and_the_next_has_a_new_number() -> None:
    with secure_world(rounds=2) as it:
        it.settle(until=lambda: stage_of(it) is Stage.SHARES)
        it.kill_client(2)
        it.kill_client(3)
        while it.server and it.server.federation.ledger.round(1).state == "open":  # type: ignore[union-attr] # it is there
            it.step()
        assert it.server
        record = it.server.federation.ledger.round(1)
        assert record
        assert record.state == "abandoned"
        assert "devices have" in record.note
        it.settle()
        assert counted(it, 1) == []
        np.testing.assert_array_equal(it.weights, simulated((2, EVERYBODY)))
