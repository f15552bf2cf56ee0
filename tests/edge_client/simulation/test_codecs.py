"""Federations whose updates are encoded."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.simulation.federation import client_name
from shared.codecs import CODECS, make_codec
from shared.codecs.update_file import UpdateFile, encode_update
from shared.errors import SettingsError
from shared.randomness import stream
from tests.edge_client.simulation.test_federation import (
    CLIENTS,
    SCAFFOLD,
    START,
    UNBOUNDED,
    alone,
    federation,
    go_on_after_each_round,
    run,
    simulation,
)
from tests.edge_client.tiny import TINY


def test_an_unknown_codec_is_refused_before_anything_begins() -> None:
    with pytest.raises(SettingsError, match="no codec zip; there are: float32"):
        simulation(codec="zip")


@pytest.mark.parametrize("codec", list(CODECS))
def test_every_codec_learns_and_its_files_are_counted(codec: str, tmp_path: Path) -> None:
    outcomes = run(federation(codec=codec), range(1, 5))
    assert outcomes[-1].loss < outcomes[0].loss
    rng = np.random.default_rng(0)
    encode_update(START.copy(), TINY, make_codec(codec), rng).write(tmp_path / "update")
    size = (tmp_path / "update").stat().st_size
    assert {outcome.bytes_up for outcome in outcomes} == {4 * size}
    assert {outcome.bytes_down for outcome in outcomes} == {4 * 4 * TINY.parameters}


@pytest.mark.parametrize("codec", ["int8", "top5-int8"])
def test_a_round_is_what_devices_and_files_make_of_it(codec: str, tmp_path: Path) -> None:
    kind = make_codec(codec)
    outcomes = run(federation(codec=codec, **UNBOUNDED), range(1, 4))
    weights = START
    residuals: dict[int, Any] = {}
    for number, outcome in enumerate(outcomes, 1):
        total = np.zeros_like(weights)
        for index, examples in enumerate(CLIENTS):
            delta = alone(index, number, weights, codec=codec).weights - weights
            rng = stream(0, "codec", client_name(index), number)
            sent = encode_update(delta, TINY, kind, rng, residual=residuals.get(index))
            assert sent.residual is not None
            residuals[index] = sent.residual
            sent.write(tmp_path / "update")
            total += UpdateFile(tmp_path / "update", kind, TINY).delta[:] * np.float32(
                len(examples)
            )
        weights = total / np.float32(sum(map(len, CLIENTS))) + weights
        assert weights.tobytes() == outcome.weights.tobytes()


@pytest.mark.parametrize(
    "values",
    [
        {"codec": "top10-sign", "fraction": 0.5},
        {"codec": "int8", **SCAFFOLD},
        {"codec": "top5-int8", "strategy": "median"},
        {"codec": "int8", "download_codec": "int8", "strategy": "fedadam"},
    ],
)
def test_going_on_after_any_round_ends_in_the_same(tmp_path: Path, values: dict[str, Any]) -> None:
    go_on_after_each_round(partial(federation, **values), 5, tmp_path)


def test_the_control_variates_of_clients_and_server_stay_together() -> None:
    rounds = federation(codec="top5-int8", **SCAFFOLD | UNBOUNDED | {"client_dropout": 0.0})
    run(rounds, range(1, 5))
    assert rounds._controls is not None
    own = [rounds._controls.of(client_name(index), 5) for index in range(len(CLIENTS))]
    np.testing.assert_allclose(rounds._strategy.broadcast()["control"], np.mean(own, 0), atol=1e-5)


@pytest.mark.parametrize("codec", ["float16", "int8"])
def test_models_that_travel_as_differences_learn_and_are_counted(
    codec: str, tmp_path: Path
) -> None:
    whole, outcomes = (
        run(federation(download_codec=name), range(1, 5)) for name in ("none", codec)
    )
    assert outcomes[-1].loss < outcomes[0].loss
    np.testing.assert_allclose(outcomes[-1].weights, whole[-1].weights, atol=0.02)
    encode_update(START.copy(), TINY, make_codec(codec), np.random.default_rng(0)).write(
        tmp_path / "difference"
    )
    size = (tmp_path / "difference").stat().st_size
    down = [outcome.bytes_down for outcome in outcomes]
    assert down == [4 * 4 * TINY.parameters, *[4 * size] * 3]
