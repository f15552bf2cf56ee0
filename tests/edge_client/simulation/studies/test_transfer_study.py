"""What carries over from language to language: who teaches what, and what tables say of it."""

import io
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from edge_client.commands.experiment.transfer import transfer
from edge_client.learning.training import Trained, train
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.studies import small_encoders
from edge_client.simulation.studies.cells import execute_cells
from edge_client.simulation.studies.language_settings import CellSettings, TransferSettings
from edge_client.simulation.studies.languages import languages_named, load_languages
from edge_client.simulation.studies.second_task import (
    taught_twice,
    with_languages,
    without_languages,
)
from edge_client.simulation.studies.small_encoders import Transfers, check_files
from edge_client.simulation.studies.transfer_report import (
    draw_tuning,
    rows_of_federation,
    rows_of_left_out,
    rows_of_matrix,
    rows_of_tuning,
    uars,
)
from edge_client.simulation.studies.transfer_study import Transfer, plan_cells
from edge_client.tflite.engine import TfliteEngine
from shared.architectures import MODELS, KerasModel, architecture_of
from shared.errors import RunError, SettingsError
from shared.features.labelled_clips import normalised_by_owner
from shared.metrics import confusion
from shared.model_notes.model_card import card_of
from shared.randomness import stream
from shared.storage.tensor_file import TensorFile
from shared.training import TrainingSettings
from shared.weights import initial_weights, save_weights, split
from tests.edge_client.device.pooled import NAME, POOLED
from tests.edge_client.simulation.spoken import languages
from tests.edge_client.simulation.voices import write_voices

NAMES = ("en", "de", "pl")
SPOKEN = languages()


def settings(**given: Any) -> TransferSettings:
    small = {"front_end": NAME, "labels": "angry,sad", "engine": "tflite", "folds": 2}
    quick = {
        "learning_rate": 0.05,
        "epochs": 4,
        "shots": (0, 3),
        "tuning_epochs": 3,
        "rounds": 3,
        "local_steps": 2,
    }
    return TransferSettings.parse({**small, **quick, **given})


def cell(*teachers: str, tested: str, **own: Any) -> CellSettings:
    common = settings().model_dump(exclude_none=True)
    return CellSettings.parse({**common, "teachers": teachers, "tested": tested, **own})


def made() -> Transfer:
    return Transfer(settings(), SPOKEN)


def execute(out: Path, seeds: int = 1, *, overwrite: bool = False) -> tuple[list[Any], str]:
    said = io.StringIO()
    cells = {cell.name: cell for cell in plan_cells(settings(), NAMES, seeds)}
    console = Console(file=said, width=100)
    clips = SPOKEN.whole.digest
    results = execute_cells(cells, made().result, clips, out, console, overwrite=overwrite)
    return results, said.getvalue()


def test_a_result_is_what_training_and_testing_by_hand_give() -> None:
    found = made().result(cell("en", tested="de"))
    task = settings().task
    architecture = architecture_of("head", task)
    engine = TfliteEngine(architecture, threads=1)
    whole = SPOKEN.whole
    normal = normalised_by_owner(whole.examples, whole.speakers, POOLED)
    en, de = (normal.take(SPOKEN.clips_in(name)) for name in ("en", "de"))
    outcome = train(
        engine,
        initial_weights(architecture, stream(0, "initial weights")),
        en,
        TrainingSettings(epochs=4, learning_rate=0.05),
        partial(stream, 0, "transfer", "en", "teaching", 0),
    )
    assert isinstance(outcome, Trained)
    answers = engine.logits(outcome.weights, de.features, de.frames).argmax(1)
    expected = confusion(de.labels, answers, 2)
    assert found["known"]["all"]["confusion"] == expected.tolist()
    assert found["known"]["all"]["uar"] > 0.7, "the label shows in the same features"
    assert set(found["known"]) == {"all", "two", "one", "none"}
    assert (found["taught"], found["tuned"], found["tested"]) == (48, 0, 48)


def test_a_language_that_teaches_itself_leaves_out_those_who_are_tested() -> None:
    found = made().result(cell("en", tested="en", fold=1))
    assert (found["taught"], found["tested"]) == (24, 24)
    everybody = made().result(cell(*NAMES, tested="en", fold=1, way="federated"))
    assert (everybody["taught"], everybody["tested"]) == (72, 24)


def test_fine_tuning_begins_with_what_the_others_taught() -> None:
    study = made()
    pretrained = study.result(cell("en", "de", tested="pl", fold=2, tuned_on=3))
    fresh = study.result(cell(tested="pl", fold=2, tuned_on=3))
    assert (pretrained["taught"], pretrained["tuned"], pretrained["tested"]) == (96, 6, 24)
    assert (fresh["taught"], fresh["tuned"]) == (0, 6)
    assert pretrained["known"]["all"]["uar"] > fresh["known"]["all"]["uar"]


def test_a_head_of_its_own_changes_the_head_of_the_federation() -> None:
    study = made()
    own = cell(*NAMES, tested="pl", fold=1, way="own-head")
    assert own.tuning(head_only=True).head_only
    assert not own.tuning(head_only=False).head_only
    assert own.federation().steps == 2
    assert own.federation().epochs is None
    shared = study.result(cell(*NAMES, tested="pl", fold=1, way="federated"))
    apart = study.result(own)
    assert apart["taught"] == shared["taught"]
    assert len(study._models) == 1, "the federation is not taught twice"


def test_each_result_is_planned_once() -> None:
    cells = list(plan_cells(settings(), NAMES, 2))
    names = [one.name for one in cells]
    assert len(names) == len(set(names))
    assert "en-to-en-seed-0-fold-2" in names
    assert "en+de-to-pl-seed-1-fold-0" in names
    assert "nothing-to-de-tuned-on-3-seed-0-fold-1" in names
    assert "en+de+pl-to-de-own-head-seed-0-fold-1" in names
    of_two = [one.name for one in plan_cells(settings(), NAMES[:2], 1)]
    assert len(of_two) == len(set(of_two)), "with two languages, the other one is all others"


def test_results_are_made_once_and_the_same_again(tmp_path: Path) -> None:
    results, said = execute(tmp_path)
    assert said.count("UAR") == len(results)
    assert execute(tmp_path)[1] == ""
    (tmp_path / "en-to-de-seed-0-fold-0" / "result.json").unlink()
    again, said = execute(tmp_path)
    assert said.count("UAR") == 1
    assert [one["known"] for one in again] == [one["known"] for one in results]
    cells = {cell.name: cell for cell in plan_cells(settings(epochs=5), NAMES, 1)}
    with pytest.raises(RunError, match="epochs is 4 there, 5 here"):
        execute_cells(cells, made().result, "", tmp_path, Console(quiet=True), overwrite=False)


def test_tables_pool_folds_and_spread_seeds(tmp_path: Path) -> None:
    results, _ = execute(tmp_path, seeds=2)
    assert len(uars(results, "all", teachers=["en"], tested_on="en")) == 2
    first = [r for r in results if r["teachers"] == ["en"] and r["seed"] == 0]
    own = [r["known"]["all"]["confusion"] for r in first if r["tested_on"] == "en"]
    counts = np.sum(own, axis=0)
    assert counts.sum() == 48, "every clip once"
    by_hand = np.mean(np.diag(counts) / counts.sum(axis=1))
    assert uars(results, "all", teachers=["en"], tested_on="en")[0] == pytest.approx(by_hand)
    matrix = rows_of_matrix(results, NAMES, "all")
    assert [row[0] for row in matrix] == ["taught by", "en", "de", "pl", "all others"]
    assert all(" ± " in found for row in matrix[1:] for found in row[1:])
    assert len(rows_of_left_out(results, NAMES)[1]) == 5
    tuned = rows_of_tuning(results, NAMES, (0, 3), "all")
    assert tuned[2][:3] == ["en", "nothing", "-"]
    assert tuned[1][2] == matrix[4][1], "tuned on nothing, it is what the others taught"
    assert rows_of_federation(results, NAMES, "all")[1][1:] == [matrix[i][i] for i in (1, 2, 3)]


@pytest.mark.parametrize("shots", [(0,), (), (0, 3)])
def test_however_many_clips_were_tuned_on_there_is_a_picture(
    shots: tuple[int, ...], tmp_path: Path
) -> None:
    asked = settings(shots=shots)
    study = Transfer(asked, SPOKEN)
    results = [study.result(one) for one in plan_cells(asked, NAMES, 1)]
    assert len(rows_of_tuning(results, NAMES, shots, "all")[0]) == 2 + len(shots)
    draw_tuning(results, NAMES, shots, "all", tmp_path / "tuning.png")
    assert (tmp_path / "tuning.png").read_bytes().startswith(b"\x89PNG")


def test_the_language_as_a_second_task_is_taught_and_left_out_again() -> None:
    wide = with_languages(settings().simulation(), 3)
    assert wide.labels == ("angry", "sad", "language-0", "language-1", "language-2")
    own, both = (architecture_of("head", one.task) for one in (settings(), wide))
    weights = np.arange(both.parameters, dtype=np.float32)
    kernel, bias = split(weights, both).values()
    kept = split(without_languages(weights, both, own), own)
    np.testing.assert_array_equal(kept["logits/kernel"], kernel[:, :2])
    np.testing.assert_array_equal(kept["logits/bias"], bias[:2])
    some = SPOKEN.whole.examples
    twice = taught_twice(some, SPOKEN.spoken, 2)
    assert len(twice) == 2 * len(some)
    assert list(np.bincount(twice.labels)) == [72, 72, 48, 48, 48]
    np.testing.assert_array_equal(twice.features[len(some) :], some.features)


def test_models_of_two_tasks_stand_beside_those_of_one(tmp_path: Path) -> None:
    shared = settings(model="mlp", learning_rate=0.01)
    plan = [one for one in plan_cells(shared, NAMES, 1, second_task=True) if one.fold < 2]
    cells = {one.name: one for one in plan}
    assert "en+de-to-pl-second-task-seed-0-fold-0" in cells
    make = Transfer(shared, SPOKEN).result
    results = execute_cells(cells, make, "", tmp_path, Console(quiet=True), overwrite=False)
    by_name = dict(zip(cells, results, strict=True))
    both = by_name["en+de-to-pl-second-task-seed-0-fold-0"]
    alone = by_name["en+de-to-pl-seed-0-fold-0"]
    assert both["second_task"]
    assert both["known"] != alone["known"], "the second task has a say"
    assert both["uar"] > 0.7
    tuned = rows_of_tuning(results, NAMES, (0, 3), "all")
    assert [row[1] for row in tuned[1:4]] == [
        "all others",
        "nothing",
        "all others, language a second task",
    ]
    assert rows_of_federation(results, NAMES, "all")[-1][0].endswith("language a second task")


def test_overwriting_removes_no_result_while_another_is_in_use(tmp_path: Path) -> None:
    cells = dict.fromkeys(("a", "b"), cell("en", tested="de"))
    for number, name in enumerate(cells):
        folder = RunFolder(tmp_path / name)
        folder.claim(cells[name], resume=False, overwrite=False)
        folder.write_result({"uar": number})
    with (
        RunFolder(tmp_path / "b").locked(),
        pytest.raises(RunError, match="b is in use by another process"),
    ):
        execute_cells(cells, made().result, "", tmp_path, Console(quiet=True), overwrite=True)
    assert [RunFolder(tmp_path / name).read_result() for name in cells] == [{"uar": 0}, {"uar": 1}]


def test_a_second_task_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._own, "keras-of-mine", KerasModel(lambda *_: None))
    for given, names, sentence in (
        ({"model": "mlp"}, NAMES[:2], "needs two that teach and one to test on"),
        ({"model": "mlp", "initial": "x.safetensors"}, NAMES, "begins with fresh weights"),
        ({}, NAMES, "head has no hidden layer that two tasks could share"),
        ({"model": "keras-of-mine"}, NAMES, "keras-of-mine builds a Keras model"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            list(plan_cells(settings(**given), names, 1, second_task=True))


@pytest.mark.usefixtures("few_synthetic")
def test_each_language_is_heard_through_what_has_not_heard_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_encoders, "_MODEL", "tdnn")
    voices = write_voices(tmp_path / "voices", 2, 0.5)
    asked = settings(
        corpus=f"en=manifest:{voices},de=synthetic",
        front_end="whisper-speech",
        pretraining_epochs=1,
        learning_rate=0.01,
    )
    console, out = Console(quiet=True), tmp_path / "out"
    named = languages_named(asked.corpus)
    spoken = load_languages(named, asked.simulation(), console)
    cells = {own.tested: own for own in plan_cells(asked, ("en", "de"), 1) if not own.fold}

    def transfers(**changed: Any) -> Transfers:
        new = asked.model_copy(update=changed)
        return Transfers(new, spoken, out, console, overwrite=False)

    results = {tested: transfers().result(own) for tested, own in cells.items()}
    for tested, corpus in (("en", "synthetic"), ("de", "manifest")):
        path = out / "pretrained" / f"without-{tested}-seed-0.safetensors"
        card = card_of(TensorFile(path).metadata)
        assert card is not None
        assert [own.corpus for own in card.taught_by] == [corpus]
        heard = asked.model_copy(update={"front_end": str(path), "pretraining_epochs": 0})
        by_hand = Transfer(heard, load_languages(named, heard.simulation(), console))
        expected = by_hand.result(cells[tested])
        assert results[tested]["known"] == expected["known"]
    made = path.stat().st_mtime_ns
    assert transfers().result(cells["de"])["known"] == results["de"]["known"]
    assert path.stat().st_mtime_ns == made, "it is kept"
    with pytest.raises(RunError, match="was pretrained otherwise, or by other clips"):
        transfers(pretraining_epochs=2).result(cells["de"])
    with pytest.raises(SettingsError, match="mfcc40 is no speech encoder"):
        check_files(asked.model_copy(update={"front_end": "mfcc40"}), named)
    heard = asked.model_copy(update={"front_end": str(path), "pretraining_epochs": 0})
    with pytest.raises(SettingsError, match="taught by manifest: it may have heard who is"):
        check_files(heard, named)
    check_files(heard, [own for own in named if own.corpus != "manifest"])


app = typer.Typer()
app.command()(transfer)


def run(out: Path, *arguments: str, shots: str = "0,2") -> Result:
    small = ["--front-end", NAME, "--labels", "angry,sad", "--engine", "tflite", "--folds", "2"]
    quick = ["--epochs", "2", "--shots", shots, "--rounds", "2", "--out", str(out)]
    return CliRunner().invoke(app, [*small, *quick, *arguments])


def test_the_command_writes_tables_pictures_and_a_model_with_its_card(tmp_path: Path) -> None:
    one = write_voices(tmp_path / "one", 4, 1.0)
    other = write_voices(tmp_path / "other", 6, 0.5)
    out = tmp_path / "out"
    named = ["--corpus", f"xx=manifest:{one},yy=manifest:{other}"]
    result = run(out, *named, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["languages"] == ["xx", "yy"]
    assert {len(found["known"]) for found in document["results"]} == {4}
    for name in ("matrix.png", "tuning.png", "table.md", "result.json", "model.safetensors"):
        assert (out / name).stat().st_size > 0
    card = card_of(TensorFile(out / "model.safetensors").metadata)
    assert card is not None
    assert [(own.clips, own.speakers) for own in card.taught_by] == [(32, 4), (48, 6)]
    again = run(out, *named)
    assert again.exit_code == 0
    assert "tested on yy" in again.stdout


def test_what_began_with_another_file_of_the_same_name_is_refused(tmp_path: Path) -> None:
    initial, out = tmp_path / "initial.safetensors", tmp_path / "out"
    head = architecture_of("head", settings().task)
    given = ["--corpus", f"xx=manifest:{write_voices(tmp_path / 'one', 4, 1.0)},yy=synthetic"]
    given += ["--initial", str(initial)]
    for begun, sentence in ((0.1, ""), (0.2, "the content of its initial is another"), (0.1, "")):
        save_weights(initial, np.full(head.parameters, begun, np.float32), head)
        found = run(out, *given)
        assert sentence in str(found.exception or "")
        assert (found.exit_code == 0) == (not sentence), found.output


@pytest.mark.usefixtures("few_synthetic")
@pytest.mark.parametrize("normalisation", ["device", "voice"])
def test_the_model_is_that_of_the_newest_start(normalisation: str, tmp_path: Path) -> None:
    one = write_voices(tmp_path / "one", 4, 1.0)
    given = ["--corpus", f"xx=manifest:{one},yy=synthetic", "--normalisation", normalisation]
    out, fresh = tmp_path / "out", tmp_path / "fresh"

    def models(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.glob("model*.safetensors")}

    assert run(fresh, *given, "--seed", "5", shots="0").exit_code == 0
    shutil.copytree(fresh, out)
    assert run(out, *given, shots="0").exit_code == 0
    first = models(out)
    for lost in (out / name for name in first):
        lost.unlink()
        assert run(out, *given, shots="0").exit_code == 0
        assert models(out) == first, f"without {lost.name} it is made again"
    made = (out / "model.safetensors").stat().st_mtime_ns
    assert run(out, *given, shots="0").exit_code == 0
    assert (out / "model.safetensors").stat().st_mtime_ns == made, "it is kept"
    assert run(out, *given, "--seed", "5", shots="0").exit_code == 0
    assert models(out) == models(fresh) != first
    assert len(first) == (2 if normalisation == "voice" else 1)


def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path: Path) -> None:
    alone = write_voices(tmp_path / "alone", 1, 1.0)
    one = write_voices(tmp_path / "one", 4, 1.0)
    out = tmp_path / "out"
    found = run(out, "--corpus", f"xx=manifest:{one}", "--corpus", f"yy=manifest:{alone}")
    assert "yy has one speaker" in str(found.exception)
    found = run(out, "--corpus", f"xx=manifest:{one}", "--corpus", f"yy=manifest:{one}")
    assert "xx and yy have 32 clips in common" in str(found.exception)
    found = run(out, "--corpus", f"xx=manifest:{one}", "--corpus", "yy=nowhere:PATH")
    assert "There is no corpus 'nowhere'" in str(found.exception)
    two = ["--corpus", f"xx=manifest:{one},yy=synthetic"]
    found = run(out, *two, "--second-task")
    assert "head has no hidden layer" in str(found.exception)
    found = run(out, *two, "--pretraining-epochs", "1")
    assert "is no speech encoder" in str(found.exception)
    assert not out.exists()
