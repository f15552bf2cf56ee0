"""Baselines of scikit-learn: the same folds, features pooled over true frames, resumed."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edge_client.simulation import study
from edge_client.simulation.data import split
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.settings import DataSettings
from edge_client.simulation.studies.baselines import (
    BaselineSettings,
    execute_baselines,
    plan_baselines,
    pooled,
    recognise,
)
from edge_client.simulation.studies.folds import PlannedFold
from shared.errors import RunError, SettingsError
from shared.front_ends import FRONT_ENDS
from shared.training import Examples
from tests.edge_client.tiny import examples, utterances

SIX = utterances(6, 8)


def settings(**given: Any) -> DataSettings:
    return DataSettings.parse({"folds": 3, "validation": False, **given})


def plan(out: Path, *classifiers: str) -> list[tuple[PlannedFold[BaselineSettings], ...]]:
    return plan_baselines(settings(), out, classifiers or ("svm", "logistic"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load_utterances", lambda _, **__: SIX)


def execute(
    planned: list[tuple[PlannedFold[BaselineSettings], ...]], *, overwrite: bool = False
) -> tuple[list[dict[str, Any]], str]:
    said = io.StringIO()
    summaries = execute_baselines(planned, Console(file=said, width=100), overwrite=overwrite)
    return summaries, said.getvalue()


def test_each_classifier_has_every_fold() -> None:
    svm, logistic = plan(Path("out"))
    assert [fold.settings.fold for fold in svm] == [1, 2, 3]
    assert {fold.settings.classifier for fold in logistic} == {"logistic"}
    assert svm[1].folder == Path("out/svm-baseline/fold-2")
    (alone,) = plan_baselines(settings(protocol="paper"), Path("out"), ["svm"])
    assert [fold.folder for fold in alone] == [Path("out/svm-baseline/run")]


def test_a_classifier_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="There is no baseline forest; there are: svm, log"):
        plan(Path("out"), "forest")


def test_pooling_looks_at_true_frames_alone() -> None:
    few = examples(5)
    rows = pooled(few)
    assert rows.shape == (5, 7 * 34)
    own = few.features[3, : few.frames[3]]
    np.testing.assert_allclose(rows[3, :34], own.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows[3, 34:68], own.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows[3, 4 * 34 : 5 * 34], np.median(own, axis=0), rtol=1e-5)
    padded = np.pad(few.features, ((0, 0), (0, 50), (0, 0)))
    np.testing.assert_array_equal(pooled(Examples(padded, few.frames, few.labels)), rows)


def test_a_fold_is_what_scikit_learn_makes_of_it() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (folds,) = plan(Path("out"), "logistic")
    chosen = folds[1].settings
    result = recognise(SIX, chosen)
    parts = split(SIX, chosen)
    own = normalise(SIX, parts.train, "device", FRONT_ENDS.get("paper34"))
    train, test = own.take(parts.train), own.take(parts.test)
    assert not set(SIX.speakers[parts.train]) & set(SIX.speakers[parts.test])
    by_hand = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5000)
    ).fit(pooled(train), train.labels)
    expected = recall_score(test.labels, by_hand.predict(pooled(test)), average="macro")
    assert result["uar"] == pytest.approx(expected)
    assert np.sum(result["confusion"]) == len(test)
    assert result["uar"] > 0.5, "the label shows in the features"


@pytest.mark.usefixtures("small")
def test_folds_are_made_once_and_summarised(tmp_path: Path) -> None:
    summaries, said = execute(plan(tmp_path))
    assert [summary["model"] for summary in summaries] == ["svm", "logistic"]
    assert said.count("UAR") == 6
    for summary in summaries:
        assert np.sum(summary["confusion"]) == 48, "every utterance is tested on once"
    config = (tmp_path / "svm-baseline" / "fold-2" / "config.toml").read_text()
    assert 'classifier = "svm"' in config
    (tmp_path / "svm-baseline" / "fold-2" / "result.json").unlink()
    again, said = execute(plan(tmp_path))
    assert said.count("UAR") == 1
    assert [cell["confusion"] for cell in again] == [cell["confusion"] for cell in summaries]
    assert execute(plan(tmp_path, "svm"), overwrite=True)[1].count("UAR") == 3


@pytest.mark.usefixtures("small")
def test_a_folder_of_other_settings_is_left_alone(tmp_path: Path) -> None:
    execute(plan(tmp_path, "svm"))
    result = tmp_path / "svm-baseline" / "fold-1" / "result.json"
    made = json.loads(result.read_text())
    other = plan_baselines(settings(normalisation="none"), tmp_path, ["svm"])
    with pytest.raises(RunError, match="normalisation is device there, none here"):
        execute(other)
    assert json.loads(result.read_text()) == made


@pytest.mark.usefixtures("small")
def test_nothing_is_written_if_a_fold_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="6 speakers cannot be divided into 9 folds"):
        execute(plan_baselines(settings(folds=9), tmp_path / "new", ["svm"]))
    assert not (tmp_path / "new").exists()
