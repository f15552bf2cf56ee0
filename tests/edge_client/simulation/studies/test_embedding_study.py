"""LDA and pLDA over vectors of utterances: pairs, classes, and sums of a federation."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from edge_client.commands.experiment.embeddings import embeddings
from edge_client.learning.class_sums import ClassSums
from edge_client.simulation.studies.cells import execute_cells
from edge_client.simulation.studies.embedding_report import (
    rows_of_embeddings,
    rows_of_known_moods,
    rows_of_sums,
)
from edge_client.simulation.studies.embedding_study import (
    Embeddings,
    Heads,
    equal_error_rate,
    plan_embeddings,
)
from edge_client.simulation.studies.language_settings import EmbeddingSettings
from edge_client.simulation.studies.languages import Languages
from shared.errors import SettingsError
from shared.features.labelled_clips import normalised_by_owner
from tests.edge_client.device.pooled import NAME, POOLED
from tests.edge_client.simulation.spoken import language
from tests.edge_client.simulation.voices import write_voices

NAMES = ("en", "de", "pl")
SPOKEN = Languages.of({name: language(i, labels=3) for i, name in enumerate(NAMES)}, 2)


def settings(**given: Any) -> EmbeddingSettings:
    small = {"front_end": NAME, "labels": "angry,happy,sad", "folds": 2, "shrinkage": 0.1}
    return EmbeddingSettings.parse({**small, **given})


@pytest.mark.parametrize(
    ("same", "other", "expected"),
    [
        ([3, 4, 5], [0, 1, 2], 0.0),
        ([0, 1, 2], [3, 4, 5], 1.0),
        ([1, 2, 3, 4], [1, 2, 3, 4], 0.5),
        ([1, 1, 1, 0], [0, 0, 0, 1], 0.25),
        ([2, 3, 4, 5, 0.5], [0, 1, 0.2, 0.3, 2.5], 0.2),
    ],
)
def test_equal_error_rate(same: list[float], other: list[float], expected: float) -> None:
    assert equal_error_rate(np.array(same), np.array(other)) == pytest.approx(expected)


def test_equal_error_rate_of_gaussians_is_that_of_their_tails() -> None:
    rng = np.random.default_rng(2)
    found = equal_error_rate(rng.normal(2, 1, 20_000), rng.normal(0, 1, 20_000))
    assert found == pytest.approx(0.1587, abs=0.005), "one standard deviation from each"


def test_speakers_of_a_fold_are_tested_by_the_others() -> None:
    plan = plan_embeddings(settings(), NAMES)
    assert list(plan)[:2] == ["en-by-its-own", "en-by-all-others"]
    found = Embeddings(settings(), SPOKEN).result(plan["en-by-its-own"])
    whole = SPOKEN.whole
    normal = normalised_by_owner(whole.examples, whole.speakers, POOLED)
    counts = np.zeros((3, 3), np.int64)
    for fold in (1, 2):
        taught, tested = SPOKEN.taught("en", fold), SPOKEN.tested("en", fold)
        sums = ClassSums.of(normal.features[taught, 0], normal.labels[taught], 3)
        answers = Heads.fit(sums, 0.1).answers(normal.features[tested, 0])["plda"]
        np.add.at(counts, (normal.labels[tested], answers.scores.argmax(axis=1)), 1)
    own = found["methods"]["plda"]["all"]
    assert own["confusion"] == counts.tolist()
    assert found["uar"] == own["uar"] > 0.8
    assert own["eer"] < found["methods"]["cosine"]["all"]["eer"] < 0.5
    assert "uar" not in found["methods"]["cosine"]["all"], "it knows no classes"
    assert "eer" not in found["methods"]["plda"]["two"], "a clip would be its own pair"


def test_a_federation_of_speakers_is_central_training() -> None:
    for cell in plan_embeddings(settings(), NAMES).values():
        found = Embeddings(settings(), SPOKEN).result(cell)
        assert found["federated"]["clients"] == (8 if cell.unseen else 2)
        assert found["federated"]["bytes_up"] == 8 * (3 + 3 * 6 + 21)
        assert found["federated"]["difference"] < 1e-12


def test_too_few_speakers_for_plda_are_refused() -> None:
    few = Languages.of({"en": language(0), "de": language(1, speakers=2)}, 2)
    with pytest.raises(SettingsError, match="at least 2 speakers, and fold 1 of de leaves 1"):
        Embeddings(settings(), few)
    with pytest.raises(SettingsError, match="paper34 gives up to 100 frames"):
        Embeddings(settings(front_end="paper34"), SPOKEN)


def test_results_are_made_once_and_laid_out(tmp_path: Path) -> None:
    plan, made, said = plan_embeddings(settings(), NAMES), Embeddings(settings(), SPOKEN), []
    for _ in range(2):
        output = io.StringIO()
        results = execute_cells(
            plan, made.result, "", tmp_path, Console(file=output), overwrite=False
        )
        said.append(output.getvalue().count("UAR"))
    assert said == [6, 0]
    rows = rows_of_embeddings(results, "all")
    assert [len(row) for row in rows] == [7] * 7
    assert rows[1][:2] == ["en", "its own"]
    assert rows_of_known_moods(results)[1][3].endswith(" / -")
    assert rows_of_sums(results)[2][2] == "8"


def test_the_command_writes_tables_and_a_picture(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(embeddings)
    place, out = write_voices(tmp_path / "one", 6, 1.0), tmp_path / "out"
    given = ["--front-end", NAME, "--labels", "angry,sad", "--folds", "2", "--out", str(out)]
    result = CliRunner().invoke(app, [*given, "--corpus", f"xx=manifest:{place}", "--json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["results"]
    assert found["tested_on"] == "xx"
    for name in ("embeddings.png", "table.md", "result.json"):
        assert (out / name).stat().st_size > 0
