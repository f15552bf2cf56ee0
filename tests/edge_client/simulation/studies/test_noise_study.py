"""What noise costs a model, from training to the table."""

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from edge_client.simulation import engines
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.simulating import SimulationResult
from edge_client.simulation.studies.noise_study import (
    finished_run,
    finished_runs,
    rows_of_noise,
    scores_of,
    study,
    trained,
)
from shared.audio import RATE
from shared.corpora import load_corpus
from shared.errors import RunError, SettingsError
from shared.metrics import Scores
from shared.task import DEFAULT_TASK
from tests.edge_client.tiny import NumpyEngine

pytestmark = pytest.mark.usefixtures("tiny", "undrawn")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        engines, "make_engine", lambda _, architecture, __: NumpyEngine(architecture)
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write three speakers with two clips of each label."""
    folder = tmp_path_factory.mktemp("corpus")
    for clip in load_corpus("synthetic", speakers=3, clips_per_speaker=8).clips:
        path = folder / str(clip.label) / clip.speaker / f"{Path(clip.identifier).name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip.read(), RATE)
    return folder


def collect(given: Mapping[str, Any], values: Mapping[str, Any] = {}) -> SimulationSettings:
    return SimulationSettings.collect(
        {
            "folds": 3,
            "corpus": "manifest",
            "rounds": 2,
            "validation": False,
            "normalisation": "device",
            **given,
        },
        preset=values,
    )


@pytest.fixture
def results(corpus: Path, tmp_path: Path) -> list[SimulationResult]:
    quiet = Console(file=io.StringIO())
    return trained(partial(collect, {"data": corpus}), "best", tmp_path / "models", "conv", quiet)[
        :2
    ]


def test_each_fold_is_tested_in_each_condition(results: list[SimulationResult]) -> None:
    said = Console(file=io.StringIO(), width=100)
    counts = study(results, ["white:5dB", "room"], said)
    assert list(counts) == ["clean", "white:5dB", "room"]
    tested = sum(result.document["utterances"]["test"] for result in results)
    for found in counts.values():
        assert list(found) == ["all", "two", "one", "none"]
        assert [own.sum() for own in found.values()] == [tested, 3 * tested, tested, tested]
    for known, own in counts["clean"].items():
        same = [result.document["known"][known]["confusion"] for result in results]
        np.testing.assert_array_equal(own, np.sum(same, axis=0))
    assert (counts["clean"]["all"] != counts["white:5dB"]["all"]).any()
    again = study(results, ["white:5dB"], said)
    np.testing.assert_array_equal(again["white:5dB"]["one"], counts["white:5dB"]["one"])


def test_a_run_whose_test_was_another_is_refused(results: list[SimulationResult]) -> None:
    (_, other) = results
    other.document["utterances"]["test"] += 1
    with pytest.raises(RunError, match=r"The run's test had \d+ clips, and by its settings there"):
        study(results, [], Console(file=io.StringIO()))


def test_a_finished_run_is_tested_with_its_own_settings(
    results: list[SimulationResult], tmp_path: Path
) -> None:
    (folder,) = (tmp_path / "models").glob("*/*fold-1")
    (found,) = finished_run(folder, {"rounds": None}, None)
    assert found.settings == results[0].settings
    with pytest.raises(SettingsError, match="has its own settings"):
        finished_run(folder, {"rounds": 3}, None)


def test_runs_are_tested_together_if_they_differ_in_seed_and_fold_alone(
    results: list[SimulationResult], corpus: Path, tmp_path: Path
) -> None:
    folders = sorted((tmp_path / "models").glob("*/*fold-*"))[:2]
    found = finished_runs(folders, {}, None)
    assert [one.settings for one in found] == [one.settings for one in results]
    quiet = Console(file=io.StringIO())
    longer = partial(collect, {"data": corpus, "rounds": 3})
    trained(longer, "best", tmp_path / "longer", "conv", quiet)
    (other,) = (tmp_path / "longer").glob("*/*fold-2")
    with pytest.raises(SettingsError, match="differ in more than seed and fold"):
        finished_runs([folders[0], other], {}, None)
    with pytest.raises(SettingsError, match="Two of the runs are the same one"):
        finished_runs([folders[0], folders[1], folders[0]], {}, None)


def test_the_table_has_a_row_a_condition() -> None:
    right, half = np.diag([2, 2, 2, 2]), np.full((4, 4), 1)
    counts = {"clean": {"all": right, "one": half}, "room": {"all": half, "one": half}}
    scores = scores_of(counts, DEFAULT_TASK.names)
    assert isinstance(scores["room"]["one"], Scores)
    assert rows_of_noise(scores, "all") == [
        [
            "condition",
            "accuracy, all known",
            "UAR against clean, all known",
            *("UAR, all known", "UAR, one known"),
        ],
        ["clean", "1.000", "+0.000", "1.000", "0.250"],
        ["room", "0.250", "-0.750", "0.250", "0.250"],
    ]
