"""One run, with an engine of NumPy and a tiny model."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.simulation.checkpoint import Checkpoint
from edge_client.simulation.run import Run, Stopped
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.summary import METRICS
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import architecture_of
from shared.errors import (
    WeightsError,
)
from shared.features import statistics
from shared.features.labelled_clips import normalised_by_owner
from shared.features.voice_file import load_voice
from shared.metrics import confusion
from shared.model_notes import ModelNotes
from shared.model_notes.calibration import Calibration, Reliability, load_calibration
from shared.model_notes.model_card import ModelCard, Teaching, card_of
from shared.starter import beside
from shared.storage.tensor_file import TensorFile
from shared.training import Examples
from shared.weights import initial_weights, load_weights, save_weights
from tests.edge_client.device.pooled import NAME, POOLED
from tests.edge_client.simulation.runs import (
    ROUNDS,
    UTTERANCES,
    Watcher,
    clock,
    execute,
    simulation,
    stop,
)
from tests.edge_client.tiny import TINY, NumpyEngine

pytestmark = pytest.mark.usefixtures("tiny", "undrawn")


def test_it_leaves_everything_in_its_folder(tmp_path: Path) -> None:
    watcher = Watcher()
    result = execute(tmp_path, watcher)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {*RunFolder.FILES, ".lock"} - {"checkpoint.safetensors"}
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert watcher.started == (0, ROUNDS)
    assert [record.round for record in watcher.records] == [1, 2, 3, 4, 5]
    with (tmp_path / "rounds.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["round"]) for row in rows] == [1, 2, 3, 4, 5]
    assert all(float(row["seconds"]) == 10 for row in rows)
    values = 4 * 4 * TINY.parameters
    assert all(int(row["bytes_down"]) == values for row in rows)
    assert all(0 < int(row["bytes_up"]) - values < 4 * 300 for row in rows)


def test_its_result_is_that_of_its_model(tmp_path: Path) -> None:
    result = execute(tmp_path)
    weights = load_weights(tmp_path / "model.safetensors", TINY)
    from edge_client.simulation.data import prepare

    test = prepare(UTTERANCES, simulation()).test
    logits = NumpyEngine().logits(weights, test.features, test.frames)
    matrix = confusion(test.labels, logits.argmax(1), 4)
    assert result["confusion"] == matrix.tolist()
    assert result["accuracy"] == np.trace(matrix) / 8
    assert result["uar"] == result["classes"]["angry"]["recall"] / 4 + sum(
        result["classes"][name]["recall"] / 4 for name in ("happy", "neutral", "sad")
    )
    assert set(METRICS) <= result.keys()
    assert result["seconds"] == ROUNDS * 10
    assert result["seconds_per_round"] == 10
    assert result["bytes_down_per_round"] == 16 * TINY.parameters
    assert 0 < result["bytes_up_per_round"] - result["bytes_down_per_round"] < 4 * 300
    assert result["seed"] == 0
    assert result["peak_memory_mb"] > 10
    assert result["versions"]["numpy"] == np.__version__
    assert SimulationSettings.parse(result["settings"]) == simulation()
    assert result["utterances"] == {"train": 32, "validation": 8, "test": 8, "skipped": []}


def test_its_model_is_calibrated_on_the_validation_speakers(tmp_path: Path) -> None:
    from edge_client.simulation.data import prepare

    result = execute(tmp_path)
    weights = load_weights(tmp_path / "model.safetensors", TINY)
    data = prepare(UTTERANCES, simulation())
    logits = NumpyEngine().logits(weights, data.validation.features, data.validation.frames)
    calibration = Calibration.measured(logits, data.validation.labels)
    assert load_calibration(tmp_path / "model.safetensors") == calibration
    assert result["temperature"] == calibration.temperature
    assert Reliability.from_dict(result["validation_reliability"]) == calibration.reliability
    logits = NumpyEngine().logits(weights, data.test.features, data.test.frames)
    tested = Reliability.of(calibration.probabilities(logits), data.test.labels)
    assert Reliability.from_dict(result["reliability"]) == tested
    assert result["calibration_error"] == tested.error
    for own in result["known"].values():
        assert sum(own["reliability"]["answers"]) == np.sum(own["confusion"])
        assert 0 <= own["calibration_error"] <= 1


def test_without_validation_it_keeps_the_temperature_that_it_began_with(tmp_path: Path) -> None:
    weights = initial_weights(TINY, np.random.default_rng(0))
    logits, labels = np.eye(4, dtype=np.float32), np.arange(4)
    measured = Calibration.measured(logits, labels)
    save_weights(tmp_path / "first", weights, TINY, ModelNotes(measured))
    result = execute(tmp_path / "run", validation=False, initial=tmp_path / "first")
    assert result["temperature"] == measured.temperature
    assert result["validation_reliability"] is None
    assert load_calibration(tmp_path / "run" / "model.safetensors") == measured.inherited()
    assert execute(tmp_path / "fresh", validation=False)["temperature"] is None


def test_the_best_round_is_chosen_on_the_validation_split(tmp_path: Path) -> None:
    watcher = Watcher()
    result = execute(tmp_path, watcher, learning_rate=0.03, rounds=8)
    uars = [record.validation_uar for record in watcher.records]
    best = max(value for value in uars if value is not None)
    assert result["chosen_round"] == uars.index(best) + 1
    assert result["validation_uar"] == best
    assert result["chosen_round"] < 8


@pytest.mark.parametrize("values", [{"choose": "last"}, {"validation": False}])
def test_otherwise_the_last_round_is_taken(tmp_path: Path, values: dict[str, Any]) -> None:
    stop(tmp_path, ROUNDS, **values)
    reached = Checkpoint.load(tmp_path / "checkpoint.safetensors", TINY)
    result = execute(tmp_path, **values)
    assert result["chosen_round"] == ROUNDS
    model = load_weights(tmp_path / "model.safetensors", TINY)
    np.testing.assert_array_equal(reached.weights, model)


def test_weights_that_overflow_end_it(tmp_path: Path) -> None:
    class Overflowing(NumpyEngine):
        def logits(self, *given: Any) -> NDArray[np.float32]:
            return super().logits(*given) * np.float32(np.inf)

    folder = RunFolder(tmp_path)
    with pytest.raises(WeightsError, match="its weights are too large"):
        Run(simulation(), folder, UTTERANCES, [Overflowing()], clock(10)).execute(Watcher())
    assert not folder.result.exists()


def test_it_starts_from_weights_that_are_given(tmp_path: Path) -> None:
    start = initial_weights(TINY, np.random.default_rng(9))
    save_weights(tmp_path / "start.safetensors", start, TINY)
    values: dict[str, Any] = {
        "initial": tmp_path / "start.safetensors",
        "client_dropout": 0.999,
        "choose": "last",
    }
    execute(tmp_path / "run", **values)
    reached = load_weights(tmp_path / "run" / "model.safetensors", TINY)
    assert reached.tobytes() == start.tobytes(), "nobody trained"


def test_the_model_says_what_taught_it_and_what_it_began_with(tmp_path: Path) -> None:
    before = ModelCard(taught_by=(Teaching(corpus="emodb", title="EMO-DB"),))
    start = initial_weights(TINY, np.random.default_rng(9))
    save_weights(tmp_path / "start.safetensors", start, TINY, ModelNotes(card=before))
    execute(tmp_path / "run", initial=tmp_path / "start.safetensors")
    card = card_of(TensorFile(tmp_path / "run" / "model.safetensors").metadata)
    assert card
    assert [each.corpus for each in card.taught_by] == ["synthetic", "emodb"]


def test_rounds_without_anybody_are_recorded(tmp_path: Path) -> None:
    watcher = Watcher()
    execute(tmp_path, watcher, client_dropout=0.999)
    assert {record.clients for record in watcher.records} == {0}
    assert (tmp_path / "history.png").exists()


def test_the_model_may_be_a_running_average_of_the_rounds(tmp_path: Path) -> None:
    each = []
    for rounds in (1, 2, 3):
        execute(tmp_path / str(rounds), rounds=rounds, choose="last")
        each.append(load_weights(tmp_path / str(rounds) / "model.safetensors", TINY))
    execute(tmp_path / "average", rounds=3, choose="last", averaging=0.75)
    average = load_weights(tmp_path / "average" / "model.safetensors", TINY)
    first, second, third = each
    by_hand = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
    np.testing.assert_allclose(average, by_hand, rtol=1e-5, atol=1e-7)


POOLED_UTTERANCES = replace(
    UTTERANCES,
    examples=Examples(
        UTTERANCES.examples.features[:, :1, :6],
        np.ones(len(UTTERANCES.examples), np.int32),
        UTTERANCES.examples.labels,
    ),
)


def test_what_a_stopped_run_reached_has_its_voice_model_beside_it(tmp_path: Path) -> None:
    settings = simulation(front_end=NAME, model="head", normalisation="voice", baseline=True)
    folder, head = RunFolder(tmp_path), architecture_of("head", settings.task)
    folder.claim(settings, resume=False, overwrite=False)
    run = Run(settings, folder, POOLED_UTTERANCES, [TfliteEngine(head, threads=1)])
    with pytest.raises(Stopped):
        run.execute(Watcher(1, KeyboardInterrupt))
    reached = folder.voice.read_bytes()
    assert folder.model.exists()
    run.execute(Watcher())
    assert folder.voice.read_bytes() == reached


def test_with_voice_a_device_recognises_by_its_files_what_it_has_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "FEWEST", 8)  # as many as a speaker has here
    settings = simulation(front_end=NAME, model="head", normalisation="voice", baseline=True)
    folder, head = RunFolder(tmp_path), architecture_of("head", settings.task)
    folder.claim(settings, resume=True, overwrite=False)
    engine = TfliteEngine(head, threads=1)
    result = Run(settings, folder, POOLED_UTTERANCES, [engine]).execute(Watcher())
    voice = load_voice(beside(folder.model, "voice"), settings.task)
    raw, speakers = POOLED_UTTERANCES.examples, POOLED_UTTERANCES.speakers
    own = normalised_by_owner(raw, speakers, POOLED, begun=voice, recognised=True)
    assert (own.features != normalised_by_owner(raw, speakers, POOLED, begun=voice).features).any()
    test = own.take(np.flatnonzero(speakers == speakers[0]))
    logits = engine.logits(load_weights(folder.model, head), test.features, test.frames)
    assert result["confusion"] == confusion(test.labels, logits.argmax(1), 4).tolist()
    calibration = load_calibration(folder.model)
    assert calibration.doubting
    tested = Reliability.of(calibration.probabilities(logits, test.doubts), test.labels)
    assert Reliability.from_dict(result["reliability"]) == tested
    measured = Reliability.from_dict(result["validation_reliability"])
    assert sum(measured.answers) == 3 * 8, "devices know all, one or none of the moods"
    other = settings.model_copy(update={"normalisation": "device"})
    folder.claim(other, resume=False, overwrite=True)
    assert not beside(folder.model, "voice").exists()
