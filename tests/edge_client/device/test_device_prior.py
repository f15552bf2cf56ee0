"""Devices whose statistics begin with those of other people."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_client.device.device import Device
from shared.features.normalisation import RunningStatistics
from shared.features.prior import Prior, save_prior
from shared.front_ends import FRONT_ENDS
from shared.front_ends.paper34 import frame_features
from shared.task import DEFAULT_TASK
from tests.edge_client.device.heard import Open, hear, utterance


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    return written(tmp_path / "some.safetensors", 5.0)


def written(path: Path, mean: float) -> Path:
    save_prior(path, Prior(np.full(34, mean), np.ones(34), 40), DEFAULT_TASK)
    return path


def expected(mean: float | None, *seeds: int) -> RunningStatistics:
    """Work statistics out of utterances and what they begin with."""
    prior = None if mean is None else Prior(np.full(34, mean), np.ones(34), 40)
    statistics = RunningStatistics(FRONT_ENDS.get("paper34"), prior)
    for seed in seeds:
        statistics.update(frame_features(utterance(seed).samples))
    return statistics


def known(device: Device) -> tuple[int, list[float]]:
    kept = device.recognising.statistics()
    return kept["count"], kept["mean"]


def heard_without(start: Open) -> None:
    device = start()
    for seed in range(3):
        hear(device, seed)
    device.close()


def test_a_prior_is_taken_by_a_folder_that_was_used_without_it(start: Open, prior: Path) -> None:
    heard_without(start)
    device = start(prior=prior)
    wanted = expected(5.0, 0, 1, 2)
    assert known(device) == (wanted.count, wanted.mean.tolist())
    assert device.problem is None


def test_with_another_prior_or_none_they_are_worked_out_anew(
    start: Open, prior: Path, tmp_path: Path
) -> None:
    device = start(prior=prior)
    for seed in range(3):
        hear(device, seed)
    device.close()
    for given, mean in ((written(tmp_path / "other.safetensors", -5.0), -5.0), (None, None)):
        again = start(prior=given)
        wanted = expected(mean, 0, 1, 2)
        assert known(again) == (wanted.count, wanted.mean.tolist())
        assert again.problem is None
        again.close()


def test_with_the_same_prior_they_go_on_exactly(start: Open, prior: Path) -> None:
    device = start(prior=prior)
    for seed in range(3):
        hear(device, seed)
    device.discard(2)  # it stays part of them
    device.close()
    again = start(prior=prior)
    hear(again, 3)
    wanted = expected(5.0, 0, 1, 2, 3)
    assert known(again) == (wanted.count, wanted.mean.tolist())


def as_before(path: Path) -> None:
    """Take out of the kept statistics what earlier versions did not write."""
    with closing(sqlite3.connect(path)) as connection, connection:
        query = "SELECT name, value FROM facts WHERE name LIKE 'statistics%'"
        ((name, value),) = connection.execute(query).fetchall()
        state = json.loads(value)
        state.pop("prior", None)
        change = "UPDATE facts SET value = ? WHERE name = ?"
        connection.execute(change, (json.dumps(state), name))


def test_those_of_an_earlier_version_are_read(start: Open, prior: Path, tmp_path: Path) -> None:
    device = start()
    for seed in range(3):
        hear(device, seed)
    device.discard(2)
    device.close()
    as_before(tmp_path / "state" / "examples.sqlite")
    again = start()
    wanted = expected(None, 0, 1, 2)
    assert known(again) == (wanted.count, wanted.mean.tolist())
    again.close()
    # Which prior they began with they do not say: one that is given is sure to be in them.
    device = start(prior=prior)
    wanted = expected(5.0, 0, 2)
    assert known(device) == (wanted.count, wanted.mean.tolist())
    assert device.problem is None
