"""Updates that a round goes through twice: on the disk, or trained again, with the same bits."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.strategies import Update
from edge_client.simulation import round_updates
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.round_updates import RoundUpdates, kept_updates
from edge_client.simulation.settings import SimulationSettings
from shared.errors import StorageError
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples

CLIENTS = [examples(8 + index, index) for index in range(6)]
VECTOR = 4 * TINY.parameters


class Measuring(NumpyEngine):
    """Notes, whenever a client begins, how many bytes of updates lie in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.found: list[int] = []

    def begin(self, *given: Any, **named: Any) -> None:
        """Look at the disk."""
        paths = [*self._folder.rglob("*.delta"), *self._folder.rglob("*.control")]
        self.found.append(sum(path.stat().st_size for path in paths))
        super().begin(*given, **named)


def two_rounds(folder: Path, values: Mapping[str, Any]) -> tuple[list[int], list[bytes]]:
    """Run two rounds; give the bytes found on the disk, and what came of it."""
    engine = Measuring(folder)
    settings = SimulationSettings.parse({"learning_rate": 0.01, "rounds": 2, **values})
    rounds = SimulatedFederation(settings, [engine], CLIENTS, folder)
    weights: Weights = initial_weights(TINY, np.random.default_rng(0))
    came = []
    for number in (1, 2):
        outcome = rounds.run(number, weights)
        weights = outcome.weights
        came += [weights.tobytes(), np.float64(outcome.loss).tobytes()]
        came += [array.tobytes() for array in rounds.state().values()]
    return engine.found, came


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"codec": "top10-sign", "attack": "scale", "attackers": 1},
        {"strategy": "scaffold", "optimizer": "sgd", "client_dropout": 0.1},
        {"strategy": "fedadam"},
    ],
    ids=lambda values: values.get("strategy", "fedavg") + "-" + values.get("codec", "float32"),
)
def test_a_bounded_disk_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    size = (2 if values.get("strategy") == "scaffold" else 1) * VECTOR
    whole, expected = two_rounds(tmp_path / "whole", values)
    assert max(whole) >= 3 * size, "nothing was kept, so that nothing is compared"
    for kept in (0, 2):
        monkeypatch.setattr(round_updates, "MOST_KEPT", kept * size + 1)
        found, came = two_rounds(tmp_path / f"kept-{kept}", values)
        assert max(found) == kept * size
        assert came == expected
        first = round(max(whole) / size) + 1
        assert len(found) == len(whole) + first - kept, "all but the kept ones trained once more"


def test_a_bounded_disk_is_for_those_that_can_train_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_updates, "MOST_KEPT", 0)
    found, _ = two_rounds(tmp_path, {"strategy": "median"})
    assert len(found) == 2 * len(CLIENTS), "each trained once a round"
    assert max(found) == (len(CLIENTS) - 1) * VECTOR


def test_who_stopped_early_goes_on_where_it_was(tmp_path: Path) -> None:
    trained: list[int] = []

    def train(clients: Sequence[int]) -> Iterator[Update]:
        for client in clients:
            trained.append(client)
            yield Update(f"{client}", client, np.full(3, client, np.float32))

    updates = RoundUpdates([4, 5, 6, 7], train, tmp_path, kept=2)
    assert next(iter(updates)).examples == 4
    for _ in range(2):
        assert [float(update.delta[:][0]) for update in updates] == [4, 5, 6, 7]
    assert trained == [4, 5, 6, 7, 6, 7]


def test_what_a_disk_cannot_hold_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 3 * VECTOR

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(StorageError, match=r"all 6 clients .* GB, and .*runs has room") as caught:
        two_rounds(tmp_path / "runs", {"strategy": "median"})
    assert "--clients-per-round" in caught.value.remedy
    found, _ = two_rounds(tmp_path, {})
    assert max(found) == VECTOR, "half of what is free, where others can be trained again"
    assert kept_updates(6, 10, tmp_path, all_of_them=True) == 6
