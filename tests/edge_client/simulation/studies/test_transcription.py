"""Pretraining by speech recognition: frames learn to write what is said."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from converters.keras_models import build, set_weights
from edge_client.cli import app
from edge_client.simulation.studies.pretraining import Course, pretrain
from edge_client.simulation.studies.transcription import (
    BLANK,
    Transcription,
    frames_needed,
    frames_told,
    written,
)
from shared.architectures import Architecture
from shared.audio import RATE
from shared.command.progress import tracker
from shared.corpora import load_corpus
from shared.errors import CorpusError
from shared.layers import HEAD, LOGITS, Conv1D, Dense, StatisticsPooling
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK, FrontEndShape, Task
from shared.training import Examples

SHAPE = FrontEndShape("short", version=1, frames=100, features=3, variable=True)
MODEL = Architecture(
    "small",
    (
        Conv1D("frame1", 16, stride=2),
        Conv1D("frame2", 16),
        StatisticsPooling("statistics"),
        Dense(HEAD, 4),
        Dense(LOGITS, 4, hidden=False),
    ),
    SHAPE.frames,
    SHAPE.features,
    Task(DEFAULT_TASK.labels, SHAPE),
)


def test_a_transcript_is_written_in_small_letters_without_punctuation() -> None:
    assert written("  Lubię czytać, przed snem! 3 ") == "lubię czytać przed snem"
    assert written("... 42") == ""
    assert frames_needed("anna") == 5


@pytest.mark.parametrize("text", ["नमस्ते दुनिया", "สวัสดี", "żółć", "İstanbul'da"])
def test_a_transcript_of_any_script_keeps_its_marks_and_is_written_in_one_way(text: str) -> None:
    whole = unicodedata.normalize("NFC", text.lower()).replace("'", " ")
    for form in ("NFC", "NFD"):
        assert written(unicodedata.normalize(form, text)) == whole


def test_only_frames_of_the_utterance_tell() -> None:
    assert frames_told(MODEL, np.array([7, 8, 9, 11, 3], np.int32)).tolist() == [1, 1, 2, 3, 1]


def test_frames_learn_to_write_what_is_said() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.permutation(list("abc"))) for _ in range(32)]
    features = rng.standard_normal((32, 36, 3), np.float32) * np.float32(0.1)
    for row, text in zip(features, texts, strict=True):
        for place, letter in enumerate(text):
            row[12 * place : 12 * place + 12, "abc".index(letter)] += 2
    some = Examples(features, np.full(32, 36, np.int32), np.zeros(32, np.int32))
    lesson = Transcription(texts, some.frames, MODEL)
    with tracker(shown=False) as bar:
        weights = pretrain(MODEL, some, lesson, Course(60, batch=8, rate=1e-2), bar)
    model = build(MODEL)
    set_weights(model, MODEL, weights)
    hidden = features
    for layer in model.layers[:4]:
        hidden = np.asarray(layer(hidden))
    kernel, bias = (variable.numpy() for variable in lesson.variables)
    told = (hidden @ kernel + bias).argmax(axis=2)
    read = []
    for row in told:
        changes = [own for own, before in zip(row, [BLANK, *row], strict=False) if own != before]
        read.append("".join(lesson.letters[own - 1] for own in changes if own != BLANK))
    assert np.mean([one == other for one, other in zip(read, texts, strict=True)]) > 0.9


def run(table: Path, out: Path) -> Result:
    given = ["pretrain", "ctc", "--corpus", f"manifest={table}", "--model", "tdnn"]
    return CliRunner().invoke(app, [*given, "--epochs", "1", "--out", str(out)])


def test_clips_with_transcripts_teach(tmp_path: Path) -> None:
    rows = ["path,label,speaker,text"]
    texts = ["Dzień dobry", "tak", "", "x" * 500]
    clips = load_corpus("synthetic", speakers=1, clips_per_speaker=4).clips
    for number, (clip, text) in enumerate(zip(clips, texts, strict=True)):
        soundfile.write(tmp_path / f"{number}.wav", clip.read(), RATE)
        rows.append(f"{number}.wav,other,anna,{text}")
    table, out = tmp_path / "speech.csv", tmp_path / "out.safetensors"
    table.write_text("\n".join(rows))
    result = run(table, out)
    assert result.exit_code == 0, result.output
    card = card_of(TensorFile(out).metadata)
    assert card is not None
    assert [own.clips for own in card.taught_by] == [2], "no text, or too much, teaches nothing"

    table.write_text("\n".join([rows[0], *(row[: row.rindex(",") + 1] for row in rows[1:])]))
    silent = run(table, tmp_path / "other.safetensors")
    assert isinstance(silent.exception, CorpusError)
    assert "of no clip it is known what is said" in silent.exception.problem


@pytest.mark.parametrize("count", [2, 3])
def test_a_clip_too_short_for_what_is_said_is_told(tmp_path: Path, count: int) -> None:
    soundfile.write(tmp_path / "0.wav", np.zeros(1600 * count), RATE)
    (tmp_path / "speech.csv").write_text(f"path,label,speaker,text\n0.wav,other,a,{'ab' * 200}")
    result = run(tmp_path / "speech.csv", tmp_path / "out.safetensors")
    assert isinstance(result.exception, CorpusError)
    assert "all clips are too short for what is said" in result.exception.problem
