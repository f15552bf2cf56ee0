"""Updates that a round goes through twice: on the disk, or trained again, with the same bits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from aggregator.strategies import Update
from edge_client.simulation import federation, round_updates
from edge_client.simulation.federation import SimulatedFederation
from edge_client.simulation.round_updates import RoundUpdates, folder_of_round, kept_updates
from edge_client.simulation.settings import SimulationSettings
from shared.errors import StorageError
from shared.weights import Weights, initial_weights
from tests.edge_client.tiny import TINY, NumpyEngine, examples

CLIENTS = [examples(8 + index, index) for index in range(6)]
VECTOR = 4 * TINY.parameters


class Counting(NumpyEngine):
    """Counts how often a client begins."""

    begun = 0

    def begin(self, *given: Any, **named: Any) -> None:
        """Count it."""
        self.begun += 1
        super().begin(*given, **named)


class Rounds(NamedTuple):
    """What two rounds came to."""

    kept: list[int]
    """Bytes of updates on the disk when each round ends."""
    trained: list[int]
    """How often a client was trained in each."""
    came: list[bytes]
    """Weights, losses and the strategy's state."""


def two_rounds(folder: Path, monkeypatch: pytest.MonkeyPatch, values: Mapping[str, Any]) -> Rounds:
    """Run two rounds, and look at the disk at the end of each: the next client may begin early."""
    seen = Rounds([], [], [])

    @contextmanager
    def measured(given: Path) -> Iterator[Path]:
        with folder_of_round(given) as own:
            yield own
            seen.kept.append(sum(path.stat().st_size for path in own.iterdir()))

    engine = Counting()
    settings = SimulationSettings.parse({"learning_rate": 0.01, "rounds": 2, **values})
    rounds = SimulatedFederation(settings, [engine], CLIENTS, folder)
    weights: Weights = initial_weights(TINY, np.random.default_rng(0))
    with monkeypatch.context() as patch:
        patch.setattr(federation, "folder_of_round", measured)
        for number in (1, 2):
            outcome = rounds.run(number, weights)
            seen.trained.append(engine.begun - sum(seen.trained))
            weights = outcome.weights
            seen.came.extend([weights.tobytes(), np.float64(outcome.loss).tobytes()])
            seen.came.extend(array.tobytes() for array in rounds.state().values())
    return seen


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
    whole = two_rounds(tmp_path / "whole", monkeypatch, values)
    first, second = whole.trained
    assert whole.kept[0] == first * size, "nothing was kept, so that nothing is compared"
    for kept in (0, 2):
        monkeypatch.setattr(round_updates, "MOST_KEPT", kept * size + 1)
        bounded = two_rounds(tmp_path / f"kept-{kept}", monkeypatch, values)
        assert bounded.kept[0] == kept * size
        assert bounded.came == whole.came
        assert bounded.trained == [2 * first - kept, second], "all but the kept ones once more"


def test_a_bounded_disk_is_for_those_that_can_train_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_updates, "MOST_KEPT", 0)
    rounds = two_rounds(tmp_path, monkeypatch, {"strategy": "median"})
    assert rounds.trained == [len(CLIENTS)] * 2
    assert rounds.kept == [len(CLIENTS) * VECTOR] * 2


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
        two_rounds(tmp_path / "runs", monkeypatch, {"strategy": "median"})
    assert "--clients-per-round" in caught.value.remedy
    rounds = two_rounds(tmp_path, monkeypatch, {})
    assert rounds.kept[0] == VECTOR, "half of what is free, where others can be trained again"
    assert kept_updates(6, 10, tmp_path, all_of_them=True) == 6
