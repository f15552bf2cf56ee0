"""With and without pretraining: the same folds, nobody of the test heard before, resumed."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from edge_client.cli import app
from edge_client.simulation.data import split
from edge_client.simulation.settings import DataSettings
from edge_client.simulation.studies.pretrained_file import keep_pretrained
from edge_client.simulation.studies.pretraining_study import MODEL
from edge_client.simulation.utterances import load_utterances
from shared.architectures import architecture_of
from shared.audio import RATE
from shared.corpora import Corpus, load_corpus, load_speech
from shared.encoders.network import Network, read_network
from shared.errors import RunError, SettingsError
from shared.front_ends import MFCC40
from shared.model_notes import load_notes
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK, Task
from shared.weights import fresh_weights
from tests.shared.corpora.trees import write_clip


def compare(out: Path, *arguments: str | Path) -> Result:
    given = ["experiment", "pretraining", "--out", out, "--folds", "2", "--only-fold", "2"]
    short = ["--rounds", "1", "--pretraining-epochs", "1", "--json"]
    return CliRunner().invoke(app, list(map(str, [*given, *short, *arguments])))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """List clips of four voices, one a label and one that is none of the task's; give the list."""
    folder = tmp_path_factory.mktemp("speech")
    with (folder / "speech.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "speaker"))
        for number, clip in enumerate(
            load_corpus("synthetic", speakers=4, clips_per_speaker=4).clips
        ):
            soundfile.write(folder / f"{number}.wav", clip.read(), RATE)
            rows.writerow((f"{number}.wav", clip.label, clip.speaker))
            if clip.label == "sad":
                soundfile.write(folder / f"other-{number}.wav", clip.read()[::-1], RATE)
                rows.writerow((f"other-{number}.wav", "other", clip.speaker))
    return folder / "speech.csv"


def test_four_ways_are_tested_on_speakers_that_none_has_heard(speech: Path, tmp_path: Path) -> None:
    out, corpus = tmp_path / "out", ("--corpus", "manifest", "--data", speech)
    result = compare(out, *corpus)
    assert result.exit_code == 0, result.output
    summaries = json.loads(result.stdout)["cells"]
    assert [own["model"] for own in summaries] == ["encoder", "frozen", "fine-tuned", "scratch"]
    for own in summaries:
        assert np.sum(own["confusion"]) == 8, "two speakers are tested, with four clips each"
    assert (out / "pretraining.png").stat().st_size > 1000
    assert "| frozen" in (out / "table.md").read_text()
    file = out / "pretrained" / "fold-2.safetensors"
    card = card_of(TensorFile(file).metadata)
    assert card is not None
    assert [(own.clips, own.speakers) for own in card.taught_by] == [(10, 2)], "and clips of other"
    config = (out / "fine-tuned-baseline" / "fold-2" / "config.toml").read_text()
    assert str(file) in config

    before = file.stat().st_mtime_ns
    again = compare(out, *corpus)
    assert json.loads(again.stdout)["cells"][1]["confusion"] == summaries[1]["confusion"]
    assert file.stat().st_mtime_ns == before, "what was pretrained stays"
    for change in (("--pretraining-epochs", "2"), ("--seed", "1")):
        other = compare(out, *corpus, *change)
        assert isinstance(other.exception, RunError)
        assert "was pretrained otherwise" in other.exception.problem
    # A clip that teaches, whose label is none of the task's.
    unlabelled = min(speech.parent.glob("other-*.wav"), key=lambda path: int(path.stem[6:]))
    kept = unlabelled.read_bytes()
    soundfile.write(unlabelled, soundfile.read(unlabelled)[0] / 2, RATE)
    other = compare(out, *corpus)
    unlabelled.write_bytes(kept)
    assert isinstance(other.exception, RunError)
    assert "by other clips, than is asked for" in other.exception.problem
    heard = compare(tmp_path / "new", *corpus, "--pretrained", file)
    assert isinstance(heard.exception, SettingsError)
    assert "it may have heard who is tested" in heard.exception.problem


def test_a_network_that_other_speech_has_taught_is_refused(speech: Path, tmp_path: Path) -> None:
    other, path = tmp_path / "other.csv", tmp_path / "fold-2.safetensors"
    architecture = architecture_of(MODEL, Task(DEFAULT_TASK.labels, MFCC40))
    rows = ["path,label,speaker", *(f"{number}.wav,other,one" for number in range(3))]

    def keep() -> None:
        other.write_text("\n".join(rows))
        whole = load_speech("manifest", other, DEFAULT_TASK)
        keep_pretrained(path, architecture, [whole], "a lesson", taught, overwrite=False)

    def taught(_: object) -> tuple[Network, list[Corpus]]:
        made.append(len(made))
        weights = fresh_weights(architecture, 0)
        network = Network(architecture, weights, np.zeros(40), np.ones(40))
        return network, [load_speech("manifest", other, DEFAULT_TASK)]

    made: list[int] = []
    for number in range(3):
        shutil.copy(speech.parent / f"{number}.wav", tmp_path)
    keep()
    keep()
    assert made == [0], "it is kept"
    soundfile.write(tmp_path / "1.wav", soundfile.read(tmp_path / "1.wav")[0] / 2, RATE)
    with pytest.raises(RunError, match="was pretrained otherwise, or by other clips, than is"):
        keep()
    metadata = TensorFile(path).metadata
    notes = load_notes(path)
    # As versions wrote it that knew no digest.
    read_network(path).write(path, replace(notes, made_from=""))
    assert {*metadata} - {*TensorFile(path).metadata} == {"made_from"}
    keep()
    assert made == [0]


def test_who_is_tested_teaches_nothing(speech: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text(speech.read_text())
    for clip in speech.parent.glob("*.wav"):
        sound, rate = soundfile.read(clip)
        soundfile.write(tmp_path / clip.name, sound / 2, rate)
    for others, sentence in (
        (more, "are tested in fold 2: they teach nothing"),
        (speech, "clips of your own (1 of 2) and clips of your own (2 of 2) have recordings in"),
    ):
        corpus = ("--corpus", "manifest", "--data", speech, "--speech", f"manifest={others}")
        result = compare(tmp_path / "out", *corpus)
        assert isinstance(result.exception, SettingsError)
        assert sentence in result.exception.problem


def test_a_fold_that_is_not_there(tmp_path: Path) -> None:
    result = compare(tmp_path / "out", "--only-fold", "3")
    assert isinstance(result.exception, SettingsError)
    assert result.exception.problem == "Fold 3 does not exist, there are 2."


def test_five_folds_of_iemocap_leave_out_a_session_each(tmp_path: Path) -> None:
    emotions = {"ang": 2, "exc": 3, "neu": 4, "sad": 5}
    for session in range(1, 6):
        folder = tmp_path / f"Session{session}"
        sheets = folder / "dialog" / "EmoEvaluation"
        sheets.mkdir(parents=True)
        dialogue, lines = f"Ses0{session}F_impro01", []
        for speaker in "FM":
            for number, emotion in enumerate(emotions):
                name = f"{dialogue}_{speaker}00{number}"
                lines.append(f"[1.0 - 2.0]\t{name}\t{emotion}\t[2.0, 2.0, 2.0]\n")
                write_clip(folder / "sentences" / "wav" / dialogue / f"{name}.wav", seconds=0.5)
        (sheets / f"{dialogue}.txt").write_text("".join(lines))
    given = {"corpus": "iemocap", "data": tmp_path, "folds": 5, "validation": False}
    utterances = load_utterances(DataSettings.parse(given), progress=False)
    for fold in range(1, 6):
        parts = split(utterances, DataSettings.parse({**given, "fold": fold}))
        assert set(utterances.speakers[parts.test]) == {
            f"iemocap Ses0{fold}F",
            f"iemocap Ses0{fold}M",
        }
        assert len(parts.train) == 4 * len(parts.test) == 32
