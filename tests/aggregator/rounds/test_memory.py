"""Memory of aggregating a round; benchmarks/aggregation.py measures it for whole processes."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from aggregator.ledger import Model
from aggregator.ledger.model_files import ModelFiles
from aggregator.rounds.aggregation import next_model
from aggregator.settings import AggregatorSettings
from aggregator.strategies import Update
from shared.architectures import Architecture
from shared.layers import HEAD, Dense
from shared.randomness import stream
from shared.vector_file import VectorFile

LARGE = Architecture(
    "dense", (Dense("dense1", 600), Dense(HEAD, 8), Dense("logits", 4, hidden=False))
)
"""Two million weights: enough for pieces to be small beside it."""

SLACK = {"krum": 30_000_000}
"""Bytes of pieces and blocks, whatever the model; krum computes with blocks in float64."""


@pytest.mark.parametrize("strategy", ["fedavg", "fedavgm", "fedadam", "median", "krum", "scaffold"])
@pytest.mark.parametrize("count", [3, 12])
def test_it_is_three_models_at_most_whatever_the_number_of_updates(
    tmp_path: Path, strategy: str, count: int
) -> None:
    values = {"strategy": strategy, "averaging": 0.5, "server_schedule": "cosine", "rounds": 5}
    if strategy == "krum":
        values["byzantine"] = 0
    if strategy == "scaffold":
        values |= {"optimizer": "sgd", "clients": count}
    settings = AggregatorSettings.parse(values)
    files = ModelFiles(tmp_path / "models", LARGE)
    delta = stream(0).standard_normal(LARGE.parameters, np.float32) / 100
    file = VectorFile.write(tmp_path / "delta", delta)
    control = file if strategy == "scaffold" else None
    updates = [Update(f"c{number:02}", 3, file, control) for number in range(count)]
    digest = files.add_weights(delta)
    # The second round has something to remember and to average.
    examples = [update.examples for update in updates]
    first, _ = next_model(settings, 1, Model(digest=digest, bytes=1), updates, examples, files)
    del delta
    tracemalloc.start()
    try:
        next_model(settings, 2, first, updates, examples, files)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 3 * 4 * LARGE.parameters + SLACK.get(strategy, 6_000_000)
