"""A federation of four devices with secure rounds, and what its simulation makes of them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aggregator.secure.round import SecureRound
from edge_client.simulation.federation import client_name
from edge_client.simulation.secure_federation import SecureFederation
from edge_client.simulation.settings import SimulationSettings
from shared.randomness import stream
from shared.secure.terms import Stage
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples
from tests.end_to_end.federation.world import SETTINGS, World, world

DATA = [examples(count, number) for number, count in enumerate((24, 8, 12, 16))]
EVERYBODY = tuple(range(len(DATA)))
STAGES = (Stage.KEYS, Stage.SHARES, Stage.MASKED, Stage.CONSENT, Stage.UNMASKING)


def secure_world(rounds: int, seconds: float = 60, **values: Any) -> AbstractContextManager[World]:
    return world(
        data=DATA,
        by_invitation=True,
        secure=True,
        quorum=len(DATA),
        rounds=rounds,
        round_seconds=seconds,
        every=0,
        **values,
    )


def check(it: World) -> int:
    """Check that it ended in the simulation's bits of who is in its sums; count its rounds."""
    assert it.server
    ledger, done = it.server.federation.ledger, []
    for number in range(1, (it.settings.rounds or 0) + 1):
        record = ledger.round(number)
        assert record
        if record.state == "done":
            done.append((number, tuple(int(name[-5:]) for name in counted(it, number))))
        else:
            assert record.state == "abandoned"
            assert record.note
    np.testing.assert_array_equal(it.weights, simulated(*done))
    return len(done)


@cache
def simulated(*rounds: tuple[int, tuple[int, ...]]) -> Weights:
    """Give the weights after rounds, each with a number and those whose updates are in its sum."""
    same = SimulationSettings.parse({"rounds": 9, "seed": SETTINGS["seed"], "secure": True})
    simulation = SecureFederation(same, [NumpyEngine()], DATA)
    weights = initial_weights(TINY, stream(same.seed, "initial weights"))
    for number, survivors in rounds:
        made = simulation._next(number, weights, len(DATA), list(survivors))
        assert made, "it was not given up"
        weights, _ = made
    return weights


def round_of(it: World) -> SecureRound | None:
    secure = it.server and it.server.federation.secure
    return secure.round if secure else None


def stage_of(it: World) -> Stage | None:
    found = round_of(it)
    return found.stage if found else None


def counted(it: World, number: int) -> list[str]:
    assert it.server
    return [update.client for update in it.server.federation.ledger.updates(number)]


def names(clients: Sequence[int]) -> list[str]:
    return [client_name(number) for number in clients]


def others_of(it: World, number: int) -> Path:
    """Name the file of a device that says which other devices it knows."""
    return it.folder / client_name(number) / "membership" / "others.json"
