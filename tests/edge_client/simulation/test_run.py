"""One run, with an engine of NumPy and a tiny model."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_client.simulation.checkpoint import Checkpoint
from edge_client.simulation.run import Run, Stopped
from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.summary import METRICS
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import architecture_of
from shared.calibration import Calibration, Reliability, load_calibration
from shared.errors import (
    ChorusError,
    RunError,
    StorageError,
    TrainingError,
    WeightsError,
)
from shared.features.voice_file import load_voice
from shared.labelled_clips import normalised_by_owner
from shared.metrics import confusion
from shared.model_card import ModelCard, Teaching, card_of
from shared.model_notes import ModelNotes
from shared.starter import beside
from shared.storage.tensor_file import TensorFile
from shared.training import Examples
from shared.weights import initial_weights, load_weights, save_weights
from tests.edge_client.device.pooled import NAME, POOLED
from tests.edge_client.tiny import TINY, NumpyEngine, utterances

pytestmark = pytest.mark.usefixtures("tiny")
PICTURES = ("confusion", "history", "partition", "reliability")

UTTERANCES = utterances(6, 8)
ROUNDS = 5


def simulation(**values: Any) -> SimulationSettings:
    return SimulationSettings.parse({"rounds": ROUNDS, "learning_rate": 0.003, **values})


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pretend to draw, which takes longer than everything else together."""
    for name in PICTURES:
        target = f"edge_client.simulation.run.draw_{name}"
        monkeypatch.setattr(target, lambda _, path, *__: path.touch())


class Watcher:
    """Notes what it is shown; may raise in a round."""

    def __init__(
        self, raise_after: int | None = None, error: type[BaseException] = OSError
    ) -> None:
        self.started: tuple[int, int] | None = None
        self.records: list[RoundRow] = []
        self._raise_after, self._error = raise_after, error

    def start(self, done: int, rounds: int) -> None:
        self.started = (done, rounds)

    def round(self, record: RoundRow) -> None:
        self.records.append(record)
        if record.round == self._raise_after:
            raise self._error


def clock(step: float) -> Callable[[], float]:
    """Make a clock that goes on by ``step`` seconds whenever it is asked."""
    times = iter(np.arange(0, 1e6, step) if step else np.zeros(10_000))
    return lambda: float(next(times))


def execute(
    path: Path, watcher: Watcher | None = None, seconds: float = 10, **values: Any
) -> dict[str, Any]:
    settings, folder = simulation(**values), RunFolder(path)
    folder.claim(settings, resume=True, overwrite=False)
    run = Run(settings, folder, UTTERANCES, [NumpyEngine()], clock(seconds))
    return run.execute(watcher or Watcher())


def stop(path: Path, number: int, **values: Any) -> None:
    """Run until some rounds are done; the checkpoint then has them."""
    with pytest.raises(Stopped):
        execute(path, Watcher(number, KeyboardInterrupt), **values)


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


def outcome(path: Path) -> list[str]:
    """Name what a run came to: its model, and its rounds but for the seconds they took."""
    model = load_weights(path / "model.safetensors", TINY)
    rows = [row.split(",") for row in (path / "rounds.csv").read_text().splitlines()]
    return [model.tobytes().hex(), *(",".join(row[:6] + row[7:]) for row in rows)]


SCAFFOLD: dict[str, Any] = {"strategy": "scaffold", "optimizer": "sgd"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"strategy": "fedadam", "choose": "last"},
        {**SCAFFOLD, "choose": "last"},
        {"baseline": True, "choose": "last"},
        {"client_dropout": 0.9},
    ],
    ids=str,
)
@pytest.mark.parametrize(("error", "raised"), [(KeyboardInterrupt, Stopped), (MemoryError,) * 2])
def test_stopped_and_resumed_ends_in_the_same(
    tmp_path: Path, values: dict[str, Any], error: type[BaseException], raised: type[BaseException]
) -> None:
    whole = execute(tmp_path / "whole", **values)
    # A crash loses what came after the last checkpoint; with this clock there is one at first.
    seconds = 0.0 if error is MemoryError else 10
    for number in (1, ROUNDS - 1):
        path = tmp_path / f"stopped-{number}"
        with pytest.raises(raised):
            execute(path, Watcher(number, error), seconds, **values)
        assert not (path / "result.json").exists()
        assert (path / "checkpoint.safetensors").exists() == (error is KeyboardInterrupt)
        watcher = Watcher()
        result = execute(path, watcher, **values)
        reached = number if error is KeyboardInterrupt else 0
        assert watcher.started == (reached, ROUNDS)
        assert [record.round for record in watcher.records] == [*range(reached + 1, ROUNDS + 1)]
        assert result["confusion"] == whole["confusion"]
        assert outcome(path) == outcome(tmp_path / "whole")


def test_with_other_clips_it_does_not_go_on(tmp_path: Path) -> None:
    stop(tmp_path, 2)
    before = outcome(tmp_path)
    settings, fewer = simulation(), UTTERANCES.take(np.arange(len(UTTERANCES.examples) - 1))
    renamed = replace(UTTERANCES, clips=np.arange(len(UTTERANCES.examples)).astype(str))
    features = UTTERANCES.examples.features.copy()
    features[0, 0, 0] += 1  # recorded again, and as long as before
    again = replace(UTTERANCES, examples=replace(UTTERANCES.examples, features=features))
    for other in (fewer, renamed, again):
        run = Run(settings, RunFolder(tmp_path), other, [NumpyEngine()], clock(10))
        with pytest.raises(RunError, match="belongs to another run: its clips differ"):
            run.execute(Watcher())
    assert outcome(tmp_path) == before
    execute(tmp_path)
    before = outcome(tmp_path)
    for other in (fewer, renamed, again):
        run = Run(settings, RunFolder(tmp_path), other, [NumpyEngine()], clock(10))
        with pytest.raises(RunError, match="belongs to another run: its clips differ"):
            run.execute(Watcher())
    assert outcome(tmp_path) == before


def test_weights_that_overflow_end_it(tmp_path: Path) -> None:
    class Overflowing(NumpyEngine):
        def logits(self, *given: Any) -> NDArray[np.float32]:
            return super().logits(*given) * np.float32(np.inf)

    folder = RunFolder(tmp_path)
    with pytest.raises(WeightsError, match="its weights are too large"):
        Run(simulation(), folder, UTTERANCES, [Overflowing()], clock(10)).execute(Watcher())
    assert not folder.result.exists()


def test_resumed_twice_is_the_same_too(tmp_path: Path) -> None:
    execute(tmp_path / "whole", **SCAFFOLD)
    for number in (2, 3):
        stop(tmp_path / "parts", number, **SCAFFOLD)
    execute(tmp_path / "parts", **SCAFFOLD)
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


def test_stopping_says_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Stopped) as caught:
        execute(tmp_path, Watcher(2, KeyboardInterrupt))
    assert f"Stopped after round 2 of {ROUNDS}; {tmp_path} keeps" in caught.value.problem
    assert "--resume" in caught.value.remedy
    assert caught.value.exit_code == 130
    load_weights(tmp_path / "model.safetensors", TINY)
    assert (tmp_path / "rounds.csv").read_text().count("\n") == 3


def test_checkpoints_are_not_written_all_the_time(tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        execute(tmp_path, Watcher(3, MemoryError), seconds=0.4)
    # Two readings a round and one after it: 1.2 s a round, and a checkpoint after two of them.
    assert Checkpoint.load(tmp_path / "checkpoint.safetensors", TINY).number == 2


class Failing(NumpyEngine):
    """Fails in some step."""

    def __init__(self, step: int, error: BaseException) -> None:
        super().__init__()
        self._at, self._error = step, error

    def step(
        self,
        features: NDArray[np.float32],
        frames: NDArray[np.int32],
        labels: NDArray[np.int32],
        seed: int,
    ) -> float:
        if len(self.seeds) == self._at:
            raise self._error
        return super().step(features, frames, labels, seed)


def fail(path: Path, step: int, error: BaseException, **values: Any) -> None:
    """Run with an engine that fails, and without a checkpoint before."""
    settings, folder = simulation(**values), RunFolder(path)
    folder.claim(settings, resume=True, overwrite=False)
    Run(settings, folder, UTTERANCES, [Failing(step, error)], clock(0)).execute(Watcher())


@pytest.mark.parametrize(
    "error", [StorageError("Full.", "Free some."), TrainingError("No.", "Do.")]
)
def test_an_error_in_a_round_loses_no_round_before(tmp_path: Path, error: ChorusError) -> None:
    whole = execute(tmp_path / "whole", **SCAFFOLD)
    with pytest.raises(type(error), match=error.problem) as caught:
        fail(tmp_path / "run", 10, error, **SCAFFOLD)
    assert ("--resume" in caught.value.remedy) == isinstance(error, StorageError)
    watcher = Watcher()
    result = execute(tmp_path / "run", watcher, **SCAFFOLD)
    assert watcher.started == (2, ROUNDS)
    assert result["confusion"] == whole["confusion"]
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


@pytest.mark.parametrize("save", [1, 2])
def test_a_full_disk_is_told_and_the_rest_is_kept(tmp_path: Path, save: int) -> None:
    real, calls = Checkpoint.save, iter(range(1, 100))

    def full(self: Checkpoint, path: Path) -> None:
        if next(calls) >= save:
            raise StorageError("The disk is full.", "Free some space.")
        real(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", full)
        with pytest.raises(StorageError, match="full") as caught:
            execute(tmp_path)
    assert caught.value.remedy.startswith("Free some space. The same command goes on")
    watcher = Watcher()
    execute(tmp_path, watcher)
    assert watcher.started == (save - 1, ROUNDS)


@pytest.mark.parametrize("where", ["save", "_evaluate", "write_result"])
def test_stopping_at_the_end_says_what_is_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    whole = execute(tmp_path / "whole", validation=False)
    owner: Any = {"save": Checkpoint, "_evaluate": Run, "write_result": RunFolder}[where]
    real, calls = getattr(owner, where), iter([True])

    def interrupted(*arguments: Any) -> Any:
        if next(calls, False):
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(owner, where, interrupted)
    with pytest.raises(Stopped, match=f"{tmp_path}/run keeps what was reached") as caught:
        execute(tmp_path / "run", seconds=0, validation=False)
    assert "--resume" in caught.value.remedy
    watcher = Watcher()
    assert execute(tmp_path / "run", watcher, validation=False)["uar"] == whole["uar"]
    assert watcher.started == (ROUNDS, ROUNDS)


def test_the_memory_of_another_strategy_is_damage(tmp_path: Path) -> None:
    stop(tmp_path, 2, strategy="fedadam")
    path = tmp_path / "checkpoint.safetensors"
    reached = Checkpoint.load(path, TINY)
    replace(reached, state={"momentum": reached.weights}).save(path)
    with pytest.raises(RunError, match=r"checkpoint.safetensors is damaged"):
        execute(tmp_path, strategy="fedadam")


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    first = execute(tmp_path)
    watcher = Watcher()
    assert execute(tmp_path, watcher) == first
    assert watcher.started is None


def test_a_truncated_checkpoint_is_refused_and_the_model_kept(tmp_path: Path) -> None:
    stop(tmp_path, 2)
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-10])
    with pytest.raises(RunError, match="damaged"):
        execute(tmp_path)
    load_weights(tmp_path / "model.safetensors", TINY)


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


def test_a_stop_within_a_round_goes_back_to_its_beginning(tmp_path: Path) -> None:
    whole = execute(tmp_path / "whole", **SCAFFOLD)
    with pytest.raises(Stopped, match="after round 2"):
        # The checkpoint is written when some clients have trained in round 3.
        fail(tmp_path / "run", 10, KeyboardInterrupt(), **SCAFFOLD)
    result = execute(tmp_path / "run", **SCAFFOLD)
    assert result["confusion"] == whole["confusion"]
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


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


def test_a_stopped_average_goes_on_bit_for_bit(tmp_path: Path) -> None:
    execute(tmp_path / "whole", averaging=0.9, choose="last")
    stop(tmp_path / "stopped", 2, averaging=0.9, choose="last")
    execute(tmp_path / "stopped", averaging=0.9, choose="last")
    models = [tmp_path / name / "model.safetensors" for name in ("whole", "stopped")]
    assert models[0].read_bytes() == models[1].read_bytes()


POOLED_UTTERANCES = replace(
    UTTERANCES,
    examples=Examples(
        UTTERANCES.examples.features[:, :1, :6],
        np.ones(len(UTTERANCES.examples), np.int32),
        UTTERANCES.examples.labels,
    ),
)


def test_with_voice_a_device_recognises_by_its_files_what_it_has_recognised(tmp_path: Path) -> None:
    settings = simulation(front_end=NAME, model="head", normalisation="voice", baseline=True)
    folder, head = RunFolder(tmp_path), architecture_of("head", settings.task)
    folder.claim(settings, resume=True, overwrite=False)
    engine = TfliteEngine(head, threads=1)
    result = Run(settings, folder, POOLED_UTTERANCES, [engine]).execute(Watcher())
    voice = load_voice(beside(folder.model, "voice"), settings.task)
    raw, speakers = POOLED_UTTERANCES.examples, POOLED_UTTERANCES.speakers
    own = normalised_by_owner(raw, speakers, POOLED, begun=voice)
    test = own.take(np.flatnonzero(speakers == speakers[0]))
    logits = engine.logits(load_weights(folder.model, head), test.features, test.frames)
    assert result["confusion"] == confusion(test.labels, logits.argmax(1), 4).tolist()
    other = settings.model_copy(update={"normalisation": "device"})
    folder.claim(other, resume=False, overwrite=True)
    assert not beside(folder.model, "voice").exists()
