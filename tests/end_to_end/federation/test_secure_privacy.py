"""Secure rounds with noise of the devices: the bits of the simulation, each sum charged once."""

import hashlib

import numpy as np
import pytest

from aggregator.ledger import Counts
from edge_client.simulation.federation import client_name
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.settings import SimulationSettings
from shared.errors import TrainingError
from shared.randomness import stream
from shared.secure.terms import Stage
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine
from tests.end_to_end.federation.secure_world import (
    DATA,
    EVERYBODY,
    check,
    counted,
    names,
    secure_world,
    stage_of,
)
from tests.end_to_end.federation.world import SETTINGS

PRIVATE = {"dp_epsilon": 1000, "rounds": 2, "clients_per_round": 4, "ring_bits": 16}


def the_same_noise(size: int) -> bytes:
    """Give what looks random, and is the same whoever asks when."""
    return hashlib.shake_256(b"noise").digest(size)


def simulated_privately(*rounds: tuple[int, ...]) -> Weights:
    values = {**PRIVATE, "rounds": len(rounds), "seed": SETTINGS["seed"], "secure": True}
    same = SimulationSettings.parse(values)
    simulation = SecureFederation(same, [NumpyEngine()], DATA, draw=the_same_noise)
    weights = initial_weights(TINY, stream(same.seed, "initial weights"))
    for number, survivors in enumerate(rounds, 1):
        made = simulation._next(number, weights, len(DATA), list(survivors))
        assert made, "it was not given up"
        weights, _ = made
    return weights


def test_with_noise_of_their_own_they_end_in_the_bits_of_the_simulation_with_the_same() -> None:
    with secure_world(**PRIVATE) as it:
        it.noise = the_same_noise
        it.settle()
        np.testing.assert_array_equal(it.weights, simulated_privately(EVERYBODY, EVERYBODY))
        assert it.server
        ledger = it.server.federation.ledger
        rounds, spent = ledger.charges()
        assert rounds == 2
        assert spent == pytest.approx(1000)
        record = ledger.round(2)
        assert record
        assert (record.loss, record.confusion) == (None, None)


def test_noise_of_the_system_is_in_the_sum_that_the_aggregator_sees() -> None:
    with secure_world(**PRIVATE) as it:
        it.settle()
        assert not np.array_equal(it.weights, simulated_privately(EVERYBODY, EVERYBODY))


def test_with_a_device_killed_the_noise_of_the_others_is_in_the_sum() -> None:
    with secure_world(**{**PRIVATE, "rounds": 1}) as it:
        it.noise = the_same_noise
        it.settle(until=lambda: stage_of(it) is Stage.MASKED)
        it.kill_client(3)
        while not it.ended:
            it.step()
        assert counted(it, 1) == names((0, 1, 2))
        np.testing.assert_array_equal(it.weights, simulated_privately((0, 1, 2)))


def test_a_private_round_that_is_abandoned_before_its_sum_costs_nothing() -> None:
    with secure_world(**PRIVATE) as it:
        it.settle(until=lambda: stage_of(it) is Stage.CONSENT)
        assert it.server
        it.server.service._course.shut_out(client_name(0))
        it.settle(until=lambda: it.server and it.server.federation.rounds.ended)
        assert it.server.federation.ledger.charges() == (0, 0.0)


@pytest.mark.parametrize("way", ["rolled back", "shut out"])
@pytest.mark.parametrize("stage", [Stage.CONSENT, Stage.UNMASKING, Stage.DONE])
def test_a_private_round_that_is_abandoned_is_charged_if_its_sum_may_be_known(
    stage: Stage, way: str
) -> None:
    with secure_world(**PRIVATE) as it:
        it.settle(until=lambda: stage_of(it) is stage)
        assert it.server
        course, federation = it.server.service._course, it.server.federation
        assert federation.rounds.phase == "open"
        if way == "rolled back":
            course.roll_back(0)
        else:
            course.shut_out(client_name(0))
        record = federation.ledger.round(1)
        assert record
        assert record.state == "abandoned"
        assert federation.ledger.charges()[0] == (stage is not Stage.CONSENT)


def test_an_aggregator_killed_with_the_sum_charges_it_once_with_the_model() -> None:
    with secure_world(**PRIVATE) as it:
        it.noise = the_same_noise
        it.settle(until=lambda: stage_of(it) is Stage.DONE)
        it.kill_server()
        it.settle()
        np.testing.assert_array_equal(it.weights, simulated_privately(EVERYBODY, EVERYBODY))
        assert it.server
        assert it.server.federation.ledger.charges()[0] == 2


def test_a_sum_of_which_no_model_can_be_made_is_charged_all_the_same() -> None:
    with secure_world(**{**PRIVATE, "rounds": 1}) as it:
        it.settle(until=lambda: stage_of(it) is Stage.UNMASKING)
        assert it.server

        def nonsense(_: Weights) -> Counts:
            raise TrainingError("They combine into nonsense.")

        it.server.federation.validate = nonsense
        it.settle()
        assert check(it) == 0
        assert it.server.federation.ledger.charges()[0] == 1
