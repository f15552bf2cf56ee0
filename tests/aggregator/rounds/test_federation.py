"""A whole federation on the disk, without network: equality, restarts, what goes wrong."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.rounds.federation import Federation
from aggregator.rounds.synchronous import Closed, Opened
from aggregator.strategies import Update
from edge_client.simulation.federation import SimulatedFederation as Simulation
from edge_client.simulation.settings import SimulationSettings
from shared.errors import FederationError, StorageError, WeightsError
from shared.model_notes import ModelNotes
from shared.model_notes.calibration import Calibration, load_calibration
from shared.randomness import stream
from shared.storage.files import replacing
from shared.weights import Weights, initial_weights, save_weights
from tests.aggregator.driver import (
    CLIENTS,
    come,
    kill,
    play,
    put,
    random_update,
    settings,
    weights_of,
)
from tests.edge_client.tiny import TINY, NumpyEngine, examples

pytestmark = pytest.mark.usefixtures("tiny")

DATA = [examples(count, seed) for seed, count in enumerate((24, 8, 13, 5))]


def simulated(values: dict[str, Any]) -> tuple[list[list[Update]], list[Weights]]:
    """Run a simulation; give each round's updates and the weights after it."""
    simulation = Simulation(SimulationSettings.parse(values), [NumpyEngine()], DATA)
    strategy = simulation._strategy
    aggregate, taken = strategy.aggregate, []

    def recorded(weights: Weights, updates: Iterable[Update], **given: Any) -> Weights:
        taken.append([_copied(update) for update in updates])
        return aggregate(weights, taken[-1], **given)

    vars(strategy)["aggregate"] = recorded
    weights, results = initial_weights(TINY, stream(values["seed"], "initial weights")), []
    for number in range(1, values["rounds"] + 1):
        weights = simulation.run(number, weights).weights
        results.append(weights)
    return taken, results


def _copied(update: Update) -> Update:
    control = None if update.control is None else update.control[:].copy()
    return Update(update.client, update.examples, update.delta[:].copy(), control)


@pytest.mark.parametrize(
    "values",
    [
        {"strategy": "fedavg", "clients_per_round": 3},
        {"strategy": "fedadam", "server_schedule": "cosine", "averaging": 0.8},
        {"strategy": "median", "fraction": 0.6},
        {"strategy": "scaffold", "optimizer": "sgd"},
    ],
    ids=lambda values: str(values["strategy"]),
)
def test_it_ends_in_the_weights_of_its_simulation_though_it_is_killed(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    values = {"rounds": 3, "seed": 4, **values}
    taken, expected = simulated(values)
    more = {"clients": 4} if values["strategy"] == "scaffold" else {}
    own = settings(tmp_path, quorum=4, **values, **more)
    average = expected[0]
    for updates, weights in zip(taken, expected, strict=True):
        federation = Federation(own)
        opened = come(federation, [f"client-{number:05d}" for number in range(4)])
        assert opened
        assert list(opened.invited) == [update.client for update in updates]
        for update in reversed(updates):
            step = put(federation, opened.number, update)
        assert isinstance(step, Closed)
        assert federation.close_round(step)
        np.testing.assert_array_equal(weights_of(federation), weights)
        if values.get("averaging"):
            average = average + (weights - average) * np.float32(1 - values["averaging"])
            assert federation.current.average
            kept = federation.files.weights(federation.current.average)
            np.testing.assert_array_equal(kept, average)
        kill(federation)
    assert Federation(own).rounds.phase == "finished"


def test_one_device_does_not_become_the_model_and_the_record_says_that_it_tried(
    tmp_path: Path,
) -> None:
    federation = Federation(settings(tmp_path, quorum=4))
    opened = come(federation)
    assert opened
    before = weights_of(federation)
    honest = [random_update(client, 1) for client in CLIENTS[:-1]]
    lie = random_update(CLIENTS[-1], 1).delta[:]
    lie *= np.float32(990 / np.linalg.norm(lie))
    step = None
    for update in [*honest, Update(CLIENTS[-1], 10_000, lie)]:
        step = put(federation, 1, update)
    assert isinstance(step, Closed)
    assert federation.close_round(step)
    moved = np.linalg.norm(weights_of(federation) - before)
    assert moved <= np.linalg.norm(honest[0].delta[:])
    record = federation.ledger.round(1)
    assert record
    assert record.state == "done"
    assert f"{CLIENTS[-1]}: 990 to" in record.note
    assert f"{CLIENTS[-1]}: 10000 as 7" in record.note


def test_the_norms_that_the_bounds_need_are_kept_with_the_model(tmp_path: Path) -> None:
    with Federation(settings(tmp_path, quorum=4)) as federation:
        opened = come(federation)
        assert opened
        play(federation, opened)
        memory = federation.current.memory
        assert memory
        lower = sorted(update.norm for update in federation.ledger.updates(1))[1]
        assert federation.files.arrays(memory)["bounds.norms"].tolist() == [lower]


def killed_in(state: str, path: Path) -> None:
    """Bring a federation into a state of its second round, and kill it."""
    federation = Federation(settings(path, quorum=4))
    opened = come(federation)
    assert opened
    opened_again = play(federation, opened)
    assert isinstance(opened_again, Opened)
    clients = {"open": [], "one update": CLIENTS[:1], "complete": CLIENTS, "closed": CLIENTS}
    step = None
    for client in clients[state]:
        step = put(federation, 2, random_update(client, 2))
    if state == "closed":
        assert isinstance(step, Closed)
        federation.ledger.close_round(2)
    kill(federation)


@pytest.mark.parametrize("state", ["open", "one update", "complete", "closed"])
def test_killed_in_any_state_it_ends_the_same(tmp_path: Path, state: str) -> None:
    whole = Federation(settings(tmp_path / "whole", quorum=4))
    opened = come(whole)
    assert opened
    again = play(whole, opened)
    assert isinstance(again, Opened)
    play(whole, again)

    killed_in(state, tmp_path / "killed")
    federation = Federation(settings(tmp_path / "killed", quorum=4))
    assert federation.current.round == 1
    step = federation.rounds.start(0)
    if isinstance(step, Opened):
        federation.open_round(step)
        assert step == again
        for client in CLIENTS:
            if federation.rounds.judge(client, 2) == "welcome":
                step = put(federation, 2, random_update(client, 2))
            else:
                assert federation.ledger.update(2, client)
    assert isinstance(step, Closed)
    assert federation.close_round(step)
    np.testing.assert_array_equal(weights_of(federation), weights_of(whole))
    assert federation.current.digest == whole.current.digest
    assert len(federation.ledger.updates(2)) == 4


def test_a_round_closed_at_its_deadline_stays_closed(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path, quorum=4, round_seconds=60))
    assert come(federation)
    assert put(federation, 1, random_update("ben", 1)) is None
    step = federation.rounds.tick(60)
    assert step == Closed(1, ("ben",))
    federation.ledger.close_round(1)
    kill(federation)
    federation = Federation(settings(tmp_path, quorum=4))
    assert federation.rounds.start(0) == step
    assert federation.rounds.judge("anna", 1) == "late"
    with pytest.raises(ValueError, match="not open"):
        put(federation, 1, random_update("anna", 1))
    assert federation.close_round(step)
    assert federation.current.round == 1


def test_a_killed_aggregation_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = Federation(settings(tmp_path, strategy="fedadam", quorum=4))
    opened = come(federation)
    assert opened
    steps = [put(federation, 1, random_update(client, 1)) for client in CLIENTS]
    assert isinstance(steps[-1], Closed)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(federation.ledger, "finish_round", killed)
    with pytest.raises(KeyboardInterrupt):
        federation.close_round(steps[-1])
    first = {path.name for path in federation.folder.models.iterdir()}
    kill(federation)
    federation = Federation(settings(tmp_path, strategy="fedadam", quorum=4))
    assert [path.stem for path in federation.folder.models.iterdir()] == [federation.current.digest]
    step = federation.rounds.start(0)
    assert step == steps[-1]
    assert federation.close_round(step)
    assert {path.name for path in federation.folder.models.iterdir()} == first
    assert not list(federation.folder.updates.iterdir())


def test_a_full_disk_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = Federation(settings(tmp_path, quorum=4))
    assert come(federation)
    steps = [put(federation, 1, random_update(client, 1)) for client in CLIENTS]
    assert isinstance(steps[-1], Closed)

    filled: list[Path] = []

    @contextmanager
    def full_once(path: Path) -> Iterator[Path]:
        with replacing(path) as aside:
            if not filled:
                filled.append(path)
                raise OSError(errno.ENOSPC, "No space left on device")
            yield aside

    monkeypatch.setattr("shared.storage.tensor_file.replacing", full_once)
    with pytest.raises(StorageError, match="full"):
        federation.close_round(steps[-1])
    assert federation.current.round == 0
    assert federation.close_round(steps[-1])
    assert federation.current.round == 1


def test_what_cannot_be_aggregated_is_given_up_with_its_reason(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path, strategy="krum", quorum=4))
    assert come(federation)
    before = federation.current
    for number in (1, 2):
        if number == 2:
            step = federation.rounds.end(0)
            assert isinstance(step, Opened)
            federation.open_round(step)
        steps = [put(federation, number, random_update(client, number)) for client in CLIENTS]
        if number == 2:
            federation.folder.update(2, "ben").write_bytes(b"damaged")
        assert isinstance(steps[-1], Closed)
        assert federation.close_round(steps[-1]) is None
    assert federation.current == before
    notes = [record.note for record in federation.ledger.rounds()]
    assert "ben.safetensors" in notes[0]
    assert "needs at least 5 updates" in notes[1]
    assert federation.rounds.end(0) == Opened(3, CLIENTS, 4)


def test_the_ledger_knows_losses_scores_and_settings_of_a_round(tmp_path: Path) -> None:
    federation = Federation(
        settings(tmp_path, quorum=4, rounds=2, schedule="cosine", learning_rate=0.5, epochs=2)
    )
    opened = come(federation)
    assert opened
    play(federation, opened)
    second = federation.ledger.round(2)
    assert second
    assert second.state == "open"
    assert second.settings["learning_rate"] == pytest.approx(0.25)
    assert second.settings["epochs"] == 2
    first = federation.ledger.round(1)
    assert first
    assert first.loss == pytest.approx(0.5)
    assert first.confusion == [[12, 4, 0, 0], [0, 16, 0, 0], [0, 0, 8, 8], [4, 0, 0, 12]]
    assert first.settings["learning_rate"] == pytest.approx(0.5)


def test_models_are_kept_to_a_number(tmp_path: Path) -> None:
    values = {"quorum": 4, "rounds": 5, "keep_models": 2, "strategy": "fedavgm", "averaging": 0.5}
    federation = Federation(settings(tmp_path, **values))
    step = come(federation)
    for _ in range(5):
        assert isinstance(step, Opened)
        step = play(federation, step)  # type: ignore[assignment] # the last one gives None
    kept = federation.ledger.versions(2)
    assert {path.stem for path in federation.folder.models.iterdir()} == set().union(
        *(version.files for version in kept)
    )
    assert len(kept[0].files) == 3


def test_it_begins_with_given_weights(tmp_path: Path) -> None:
    weights = np.arange(TINY.parameters, dtype=np.float32)
    save_weights(tmp_path / "initial.safetensors", weights, TINY)
    given = settings(tmp_path / "state", initial=tmp_path / "initial.safetensors")
    federation = Federation(given)
    np.testing.assert_array_equal(weights_of(federation), weights)
    kill(federation)
    (tmp_path / "initial.safetensors").unlink()
    assert Federation(given).current.origin == "initial"
    with pytest.raises(WeightsError):
        Federation(settings(tmp_path / "other", initial=tmp_path / "initial.safetensors"))


def test_its_models_keep_the_temperature_of_the_first(tmp_path: Path) -> None:
    measured = Calibration.measured(np.eye(4, dtype=np.float32), np.arange(4))
    weights = initial_weights(TINY, stream(0, "initial weights"))
    save_weights(tmp_path / "initial.safetensors", weights, TINY, ModelNotes(measured))
    given = settings(
        tmp_path / "state", initial=tmp_path / "initial.safetensors", quorum=4, averaging=0.5
    )
    federation = Federation(given)
    path = federation.files.path(federation.current.digest)
    # What was measured was another model than those that come of it.
    assert load_calibration(path) == measured.inherited()
    kill(federation)
    federation = Federation(given)  # a later process knows it from the model
    step = come(federation)
    assert isinstance(step, Opened)
    play(federation, step)
    assert federation.current.average
    for digest in (federation.current.digest, federation.current.average):
        assert load_calibration(federation.files.path(digest)) == measured.inherited()


def test_models_may_be_scored_on_a_validation_corpus(tmp_path: Path) -> None:
    seen = []
    counts = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]

    def validate(weights: Weights) -> list[list[int]]:
        seen.append(weights)
        return counts

    federation = Federation(settings(tmp_path, quorum=4, averaging=0.5))
    federation.validate = validate
    step = come(federation)
    for _ in range(2):
        assert isinstance(step, Opened)
        step = play(federation, step)  # type: ignore[assignment] # a round opens each time
    assert federation.current.validation == counts
    assert federation.current.average
    np.testing.assert_array_equal(seen[1], federation.files.weights(federation.current.average))


def test_a_round_whose_model_overflows_is_given_up(tmp_path: Path) -> None:
    def validate(weights: Weights) -> list[list[int]]:
        assert len(weights) == TINY.parameters
        raise WeightsError("What the model computes is not finite.")

    federation = Federation(settings(tmp_path, quorum=4))
    federation.validate = validate
    step = come(federation)
    assert isinstance(step, Opened)
    assert isinstance(play(federation, step), Opened)
    record = federation.ledger.round(1)
    assert record is not None
    assert (record.state, record.note) == ("abandoned", "What the model computes is not finite.")
    assert federation.current.round == 0


def test_a_damaged_model_is_found(tmp_path: Path) -> None:
    federation = Federation(settings(tmp_path, quorum=4))
    assert come(federation)
    path = federation.files.path(federation.current.digest)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    steps = [put(federation, 1, random_update(client, 1)) for client in CLIENTS]
    assert isinstance(steps[-1], Closed)
    with pytest.raises(FederationError, match="missing or damaged"):
        federation.close_round(steps[-1])
