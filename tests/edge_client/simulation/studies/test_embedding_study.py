"""LDA and pLDA over vectors of utterances: pairs, classes, and sums of a federation."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from edge_client.commands.experiment.embeddings import embeddings
from edge_client.learning.class_sums import ClassSums
from edge_client.simulation.studies.embedding_report import (
    rows_of_embeddings,
    rows_of_known_moods,
    rows_of_sums,
)
from edge_client.simulation.studies.embedding_study import (
    Embeddings,
    Heads,
    check_can_learn,
    equal_error_rate,
    plan_embeddings,
)
from edge_client.simulation.studies.language_settings import (
    EmbeddingCellSettings,
    EmbeddingSettings,
)
from edge_client.simulation.studies.languages import Languages
from edge_client.simulation.studies.vectors import Vectors
from shared.errors import SettingsError, TrainingError
from shared.features.labelled_clips import normalised_by_owner
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile
from tests.edge_client.device.pooled import NAME, POOLED
from tests.edge_client.simulation.spoken import language
from tests.edge_client.simulation.voices import write_voices

NAMES = ("en", "de", "pl")
SPOKEN = Languages.of({name: language(i, labels=3) for i, name in enumerate(NAMES)}, 2)


CORPUS = "en=ravdess:x,de=emodb:x,pl=nemo:x"


def settings(**given: Any) -> EmbeddingSettings:
    small = {"vectors": NAME, "labels": "angry,happy,sad", "folds": 2, "shrinkage": 0.1}
    return EmbeddingSettings.parse({**small, "corpus": CORPUS, **given})


def made(cell: EmbeddingCellSettings, folder: Path) -> dict[str, Any]:
    """Make a result of the spoken vectors."""
    return Embeddings(cell, Vectors(NAME, SPOKEN, POOLED, cell.data(NAME)), folder).result()


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


def test_speakers_of_a_fold_are_tested_by_the_others(tmp_path: Path) -> None:
    first, second, *_ = plan_embeddings(settings(vectors=f"{NAME},a/b.safetensors+text"), NAMES)
    assert first.name.endswith("-en-by-its-own")
    assert second.name.endswith("-en-by-all-others")
    found = made(first, tmp_path)
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


def test_a_result_depends_on_what_matters_to_its_vectors_alone() -> None:
    given = settings(vectors="whisper-speech,speakers,a+text", sentences="x", pretraining_epochs=7)
    plain, taught, told = plan_embeddings(given, ("en",))
    assert (plain.pretraining_epochs, plain.sentences) == (4, "words")
    assert (taught.pretraining_epochs, taught.sentences) == (7, "words")
    assert (told.pretraining_epochs, told.sentences) == (4, "x")


def test_what_was_fitted_is_kept_with_a_card(tmp_path: Path) -> None:
    cell = plan_embeddings(settings(), NAMES)[1]
    found = made(cell, tmp_path)
    file = TensorFile(tmp_path / "heads-fold-0.safetensors")
    card = card_of(file.metadata)
    assert card is not None
    assert [own.corpus for own in card.taught_by] == ["emodb", "nemo"]
    assert {own.clips for own in card.taught_by} == {48}
    (reached,) = card.reached.values()
    assert reached["all"] == pytest.approx(found["uar"], abs=1e-4)
    normal = normalised_by_owner(SPOKEN.whole.examples, SPOKEN.whole.speakers, POOLED)
    tested = SPOKEN.tested("en")
    points = normal.features[tested, 0].astype(np.float64) @ file.read("lda/axes")
    away = np.square(points[:, None] - file.read("lda/centres")).sum(axis=2)
    counts = np.zeros((3, 3), np.int64)
    np.add.at(counts, (normal.labels[tested], away.argmin(axis=1)), 1)
    assert found["methods"]["lda"]["all"]["confusion"] == counts.tolist()


def test_a_federation_of_speakers_is_central_training(tmp_path: Path) -> None:
    for cell in plan_embeddings(settings(), NAMES):
        found = made(cell, tmp_path)
        assert found["federated"]["clients"] == (8 if cell.unseen else 2)
        assert found["federated"]["bytes_up"] == 8 * (3 + 3 * 6 + 21)
        assert found["federated"]["difference"] < 1e-12


def test_too_few_speakers_for_plda_are_refused() -> None:
    few = Languages.of({"en": language(0), "de": language(1, speakers=2)}, 2)
    for cell in plan_embeddings(settings(labels="angry,sad"), few.names):
        vectors = Vectors(NAME, few, POOLED, cell.data(NAME))
        if cell.unseen or cell.tested == "en":
            check_can_learn(cell, vectors)
            continue
        with pytest.raises(SettingsError, match="at least 2 speakers, and fold 1 of de leaves 1"):
            check_can_learn(cell, vectors)


def test_results_are_laid_out(tmp_path: Path) -> None:
    results = [made(cell, tmp_path) for cell in plan_embeddings(settings(), NAMES)]
    rows = rows_of_embeddings(results, "all")
    assert [len(row) for row in rows] == [8] * 7
    assert rows[1][1:3] == ["en", "its own"]
    assert rows_of_known_moods(results)[1][4].endswith(" / -")
    assert [row[1] for row in rows_of_sums(results)] == ["clients", "2 to 8"]


def run(place: Path, out: Path, *given: str) -> Result:
    app = typer.Typer()
    app.command()(embeddings)
    common = ["--labels", "angry,sad", "--folds", "2", "--out", str(out), "--json"]
    return CliRunner().invoke(app, [*common, "--corpus", f"xx=manifest:{place}", *given])


def test_the_command_writes_tables_and_a_picture_and_goes_on(tmp_path: Path) -> None:
    place, out = write_voices(tmp_path / "one", 6, 1.0), tmp_path / "out"
    vectors = f"{NAME},{NAME}+whisper-speech"
    first = run(place, out, "--vectors", vectors)
    assert first.exit_code == 0, first.output
    one, other = json.loads(first.stdout)["results"]
    assert one["tested_on"] == other["tested_on"] == "xx"
    assert other["vectors"].endswith("+whisper-speech")
    assert other["federated"]["bytes_up"] > one["federated"]["bytes_up"]
    for name in ("embeddings.png", "table.md", "result.json"):
        assert (out / name).stat().st_size > 0
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert len(kept) == 4, "a file for each fold"
    again = run(place, out, "--vectors", vectors)
    assert json.loads(again.stdout)["results"] == [one, other]
    assert kept == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}


def test_a_label_of_one_speaker_alone_is_said_before_anything_is_made(tmp_path: Path) -> None:
    place, out = write_voices(tmp_path / "one", 6, 1.0), tmp_path / "out"
    for speaker in sorted((place / "sad").iterdir())[1:]:
        shutil.rmtree(speaker)
    found = run(place, out, "--vectors", NAME)
    assert isinstance(found.exception, SettingsError)
    assert found.exception.problem == "Nobody from whom fold 1 of xx learns is sad."
    assert not out.exists()


def test_an_error_says_which_result_cannot_be_made(tmp_path: Path) -> None:
    place, out = write_voices(tmp_path / "one", 6, 1.0), tmp_path / "out"
    (clip, *others) = sorted(place.rglob("*.wav"))
    for other in others:  # one sound, which tells nothing
        shutil.copy(clip, other)
    found = run(place, out, "--vectors", NAME, "--normalisation", "none")
    assert isinstance(found.exception, TrainingError)
    assert re.match(r".*-xx-by-its-own: LDA and pLDA need vectors", found.exception.problem)
