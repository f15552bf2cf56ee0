"""A federation is simulated in a program, with things of its own, and gives plain arrays."""

import csv
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.strategies import STRATEGIES, Strategy, Update
from aggregator.strategies.fedavg import FedAvg
from edge_client.simulation import SimulationResult, simulate, study
from edge_client.simulation.engines import Engines
from edge_client.simulation.partitions import PARTITIONS, Indices, TrainingSet
from edge_client.simulation.run import Stopped
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import Utterances
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import Architecture, architecture_of
from shared.codecs import CODECS
from shared.codecs.float32 import Float32
from shared.errors import ChorusError, RunError, SettingsError
from shared.model_notes.calibration import load_calibration
from shared.registry import Registry
from shared.starter import beside
from shared.task import DEFAULT_TASK, Task
from shared.weights import Weights, load_weights
from tests.edge_client.device.pooled import NAME, POOLED
from tests.edge_client.simulation.test_run import POOLED_UTTERANCES
from tests.edge_client.tiny import NumpyEngine, utterances

HEAD = architecture_of("head", Task(DEFAULT_TASK.labels, POOLED.shape))

pytestmark = pytest.mark.usefixtures("undrawn")


class Halved(FedAvg):
    """Go half the way."""

    def combine(self, updates: Iterable[Update]) -> Weights:
        return super().combine(updates) / np.float32(2)


class Interrupting(FedAvg):
    """Be stopped by Ctrl-C in the second round."""

    rounds = 0

    def combine(self, updates: Iterable[Update]) -> Weights:
        type(self).rounds += 1
        if type(self).rounds == 2:
            raise KeyboardInterrupt
        return super().combine(updates)


class Plain(Float32):
    name = "plain"


def in_turn(
    whole: TrainingSet, clients: int, alpha: float, rng: np.random.Generator, /
) -> Sequence[Indices]:
    del alpha, rng
    return [np.arange(client, len(whole), clients) for client in range(clients)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tiny: Architecture, tmp_path: Path) -> None:
    """Simulate with few utterances and a tiny model; forget what tests put into registries."""

    def load(settings: SimulationSettings, *, progress: bool) -> Utterances:
        del settings, progress
        return utterances(6, 8)

    assert tiny
    monkeypatch.setattr(study, "load_utterances", load)
    monkeypatch.setattr(Engines, "get", lambda *_: [NumpyEngine()])
    for registry in (STRATEGIES, PARTITIONS, CODECS):
        assert isinstance(registry, Registry)
        monkeypatch.setattr(registry, "_own", dict(registry._own))
        monkeypatch.setattr(registry, "_replaceable", set())
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def short(**how: Any) -> SimulationResult:
    return simulate(**{"rounds": 2, "clients": 3, **how})


def test_the_result_is_what_the_folder_holds_as_arrays(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = short(out=out)
    document = json.loads((out / "result.json").read_text())
    assert result.document == document
    assert result.confusion.tolist() == document["confusion"]
    assert result.confusion.dtype == np.int64
    assert result.scores.uar == document["uar"]
    assert np.array_equal(result.weights, load_weights(out / "model.safetensors")[0])
    with (out / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert result.history.keys() == rows[0].keys()
    for name, column in result.history.items():
        assert column.shape == (2,)
        assert column.tolist() == [float(row[name]) for row in rows]


def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    result = short(out=tmp_path / "run")
    again = SimulationResult.read(tmp_path / "run")
    assert np.array_equal(again.weights, result.weights)
    assert (again.settings, again.scores, again.task) == (
        result.settings,
        result.scores,
        result.task,
    )


def test_without_a_folder_nothing_is_left_and_the_result_is_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept, result = short(out=tmp_path / "run"), short()
    assert np.array_equal(result.weights, kept.weights)
    assert not list((tmp_path / "temporary").iterdir())
    assert capfd.readouterr() == ("", "")
    result.save_model(tmp_path / "saved.safetensors")
    assert np.array_equal(load_weights(tmp_path / "saved.safetensors")[0], result.weights)
    assert result.calibration.reliability is not None
    assert load_calibration(tmp_path / "saved.safetensors") == result.calibration


def test_a_saved_model_has_its_voice_model_beside_it_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "load_utterances", lambda *_, **__: POOLED_UTTERANCES)
    monkeypatch.setattr(Engines, "get", lambda *_: [TfliteEngine(HEAD, threads=1)])
    out, saved = tmp_path / "run", tmp_path / "saved.safetensors"
    stale = beside(saved, "prior")
    stale.write_bytes(b"of another model")
    pooled: dict[str, Any] = {"front_end": NAME, "model": "head", "baseline": True}
    simulate(rounds=1, out=out, normalisation="voice", **pooled).save_model(saved)
    written = beside(RunFolder(out).model, "voice").read_bytes()
    assert beside(saved, "voice").read_bytes() == written
    assert not stale.exists()
    simulate(rounds=1, **pooled).save_model(saved)
    assert not beside(saved, "voice").exists(), "the next model has none"


def test_progress_is_shown_where_it_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    short(progress=True)
    out, err = capfd.readouterr()
    assert not out
    assert "round 2/2" in err


def test_without_a_validation_split_its_scores_are_not_numbers() -> None:
    history = short(validation=False).history
    assert np.isnan(history["validation_uar"]).all()
    assert np.isfinite(history["loss"]).all()


def test_things_of_ones_own_are_used() -> None:
    plain = short()
    assert not np.array_equal(short(strategy=Halved).weights, plain.weights)
    assert not np.array_equal(short(partition=in_turn).weights, plain.weights)
    by_name = short(strategy="Halved", partition="in_turn")
    assert np.array_equal(by_name.weights, short(strategy=Halved, partition=in_turn).weights)
    assert by_name.settings.partition == "in_turn"
    for codec in (Plain, Plain()):
        assert np.array_equal(short(codec=codec).weights, plain.weights)


def test_ours_may_be_given_as_what_they_are() -> None:
    assert np.array_equal(short(strategy=FedAvg).weights, short(strategy="fedavg").weights)


def test_a_class_that_is_defined_again_takes_the_place_of_the_one_before() -> None:
    def defined(factor: float) -> type[Strategy]:
        class Mine(FedAvg):
            def combine(self, updates: Iterable[Update]) -> Weights:
                return super().combine(updates) * np.float32(factor)

        return Mine

    one, half = (short(strategy=defined(factor)).weights for factor in (1, 0.5))
    assert np.array_equal(one, short().weights)
    assert np.array_equal(half, short(strategy=Halved).weights)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"strategy": FedAvg()}, "fedavg is not a valid strategy: it should be a subclass"),
        ({"strategy": type("fedavg", (Halved,), {"name": "fedavg"})}, "a strategy fedavg already"),
        ({"strategy": dict}, "dict is not a valid strategy"),
        ({"partition": 4}, "int is not a valid partition: it is a int"),
        ({"codec": object()}, "object is not a valid codec"),
        ({"strategy": "best"}, "There is no strategy best"),
        ({"colour": "red"}, "There is no setting colour"),
        ({"rounds": 0}, "The setting rounds = 0 is wrong"),
        ({"clients": 99}, "not enough"),
    ],
)
def test_what_is_wrong_is_one_sentence(how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        short(**how)


def test_ctrl_c_keeps_what_was_reached_where_there_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Interrupting, "rounds", 0)
    with pytest.raises(Stopped, match="Stopped after round 1 of 2"):
        short(strategy=Interrupting, out=tmp_path / "run")
    result = short(strategy=Interrupting, out=tmp_path / "run", resume=True)
    assert np.array_equal(result.weights, short().weights)
    monkeypatch.setattr(Interrupting, "rounds", 0)
    with pytest.raises(ChorusError, match="nothing is kept"):
        short(strategy=Interrupting)
    assert not list((tmp_path / "temporary").iterdir())


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished run"):
        SimulationResult.read(tmp_path)
    short(out=tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already"):
        short(out=tmp_path / "run")
    RunFolder(tmp_path / "run").rounds.write_text("round\nx\n")
    with pytest.raises(RunError, match="is damaged"):
        SimulationResult.read(tmp_path / "run")
