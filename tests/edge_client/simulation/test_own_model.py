"""Keras models of one's own: what is simulated, and what is said of those that cannot be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.settings import AggregatorSettings
from converters.export import Job
from converters.keras_import import import_tensorflow
from edge_client.learning.training import Trained, train
from edge_client.simulation.first_weights import first_weights
from edge_client.simulation.keras_engine import KerasEngine
from edge_client.simulation.own_model import OwnModel, model_of
from edge_client.simulation.run import Run
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from shared.architectures import MODELS, KerasModel, architecture_of
from shared.errors import SettingsError
from shared.layers import HEAD
from shared.randomness import stream
from shared.task import DEFAULT_TASK, FrontEndShape, Task, labels_of
from shared.training import TrainingSettings
from shared.weights import load_weights
from tests.edge_client.simulation.runs import Watcher
from tests.edge_client.tiny import examples, utterances

TASK = Task(labels_of(("laughing", "crying", "shouting")), FrontEndShape("small", 1, 20, 5))
MODULE = """
import keras

def build(frames, features, labels):
    inputs = keras.Input((frames, features))
    hidden = keras.layers.Conv1D(8, 3, activation="relu")(inputs)
    hidden = keras.layers.GlobalAveragePooling1D()(hidden)
    hidden = keras.layers.Dense(8, activation="relu", name="embedding_layer")(hidden)
    hidden = keras.layers.Dropout(0.5)(hidden)
    return keras.Model(inputs, keras.layers.Dense(labels)(hidden))

word = "build"

from shared.layers import HEAD, Dense

LAYERS = (Dense(HEAD, 2),)
"""


@pytest.fixture(scope="module", autouse=True)
def module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "mine.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


def own(build: Callable[[int | None, int, int], Any], task: Task = DEFAULT_TASK) -> OwnModel:
    import_tensorflow()
    front_end = task.front_end
    return OwnModel("own", (), front_end.frames, front_end.features, task, KerasModel(build))


def test_a_model_of_one_s_own_trains_and_learns() -> None:
    model = model_of("mine:build", DEFAULT_TASK)
    assert isinstance(model, OwnModel)
    assert model.parameters == sum(spec.size for spec in model.manifest)
    assert model.manifest[-1].shape == (4,)
    engine, clips = KerasEngine(model), examples(40)
    start = model.initial(np.random.default_rng(0))
    assert np.array_equal(start, model.initial(np.random.default_rng(0)))
    assert not np.array_equal(start, model.initial(np.random.default_rng(1)))
    settings = TrainingSettings(learning_rate=0.01, epochs=30)
    ends = [train(engine, start, clips, settings, lambda *n: stream(0, *n)) for _ in range(2)]
    assert isinstance(ends[0], Trained)
    assert isinstance(ends[1], Trained)
    assert np.array_equal(ends[0].weights, ends[1].weights), "dropout comes from the seeds alone"
    other = train(engine, start, clips, settings, lambda *n: stream(1, *n))
    assert isinstance(other, Trained)
    assert not np.array_equal(other.weights, ends[0].weights)
    logits = engine.logits(ends[0].weights, clips.features, clips.frames)
    assert (logits.argmax(1) == clips.labels).mean() > 0.6


def test_only_its_head_can_be_trained() -> None:
    model = model_of("mine:build", TASK)
    assert isinstance(model, OwnModel)
    assert [spec.layer for spec in model.manifest].count(HEAD) == 2
    engine, start = KerasEngine(model), model.initial(np.random.default_rng(0))
    engine.begin(start, TrainingSettings(head_only=True), anchor=start)
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((6, 20, 5), np.float32), np.arange(6, dtype=np.int32) % 3
    engine.step(features, np.full(6, 20, np.int32), labels, 1)
    changed = engine.weights() != start
    assert not changed[: model.head_offset].any()
    assert changed[model.head_offset :].any()
    headless = own(lambda t, f, n: _sequential([_keras().layers.Flatten()], t, f, n))
    with pytest.raises(SettingsError, match="no layer called embedding_layer"):
        headless.check_head()
    assert headless.head_offset == 0


def _keras() -> Any:
    import_tensorflow()
    import keras

    return keras


def _sequential(hidden: list[Any], frames: int | None, features: int, labels: int) -> Any:
    keras = _keras()
    ends = [keras.Input((frames, features)), *hidden, keras.layers.Dense(labels)]
    return keras.Sequential(ends)


def flattened(frames: int | None, features: int, labels: int) -> Any:
    return _sequential([_keras().layers.Flatten()], frames, features, labels)


def normalised(frames: int | None, features: int, labels: int) -> Any:
    layers = [_keras().layers.BatchNormalization(), _keras().layers.Flatten()]
    return _sequential(layers, frames, features, labels)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: flattened, r"cannot build its model: TypeError"),
        (lambda *_: flattened, r"gives something of type function, not a keras.Model"),
        (
            lambda t, f, n: flattened(t // 2, f, n),
            r"takes \(None, 50, 34\) and gives \(None, 4\); \(None, 100, 34\) and \(None, 4\) are",
        ),
        (lambda t, f, n: flattened(t, f, n + 1), r"gives \(None, 5\); .* \(None, 4\) are needed"),
        (normalised, "weights that are not trained"),
    ],
    ids=["arguments", "something else", "input", "output", "batch normalisation"],
)
def test_what_cannot_be_simulated_is_said(build: Any, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        own(build).keras_model()
    assert "\n" not in caught.value.problem


def test_settings_take_it_with_keras_only() -> None:
    assert SimulationSettings(model="mine:build").model == "mine:build"
    assert SimulationSettings(model="mine:LAYERS", engine="tflite").model == "mine:LAYERS"
    with pytest.raises(SettingsError, match="mine:build builds a Keras model: it runs on no d"):
        SimulationSettings(model="mine:build", engine="tflite")
    with pytest.raises(SettingsError, match="mine:build builds a Keras model"):
        AggregatorSettings(model="mine:build")
    with pytest.raises(SettingsError, match="no device imports mine:LAYERS because a message"):
        AggregatorSettings.parse({"model": "mine:LAYERS"})
    with pytest.raises(SettingsError, match="mine:build builds a Keras model"):
        Job.plan("mine:build", Path("out.tflite"), None, "float32")


def test_a_run_with_it_begins_and_goes_on_with_its_weights(tmp_path: Path) -> None:
    settings = SimulationSettings(model="mine:build", clients=2, rounds=1, folds=3)
    engine = KerasEngine(model_of(settings.model, settings.task))
    folder = RunFolder(tmp_path)
    folder.claim(settings, resume=False, overwrite=False)
    result = Run(settings, folder, utterances(6, 8), [engine], lambda: 0.0).execute(Watcher())
    assert 0 <= result["uar"] <= 1
    kept = load_weights(folder.model, engine.architecture)
    assert not np.array_equal(kept, first_weights(settings, engine.architecture))


def test_it_is_said_that_it_runs_on_no_device() -> None:
    MODELS.get("mine:build")
    with pytest.raises(SettingsError, match="runs on no device") as caught:
        architecture_of("mine:build", DEFAULT_TASK)
    assert "--engine keras" in caught.value.remedy
    with pytest.raises(SettingsError, match=r"mine:word is not a valid model: it is of type str"):
        model_of("mine:word", DEFAULT_TASK)
