"""Pretraining from the command line."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from converters.encoders.speakers import import_speaker_encoder
from edge_client.cli import app
from edge_client.simulation.studies.distillation import SPEEDS, encoded
from shared.architectures import architecture_of
from shared.audio import RATE
from shared.command.progress import tracker
from shared.corpora import load_corpus, load_speech
from shared.errors import SettingsError, StorageError
from shared.front_ends import FRONT_ENDS, MFCC40
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK, Task
from shared.weights import load_weights, split
from tests.converters.layouts import write_resemblyzer
from tests.shared.encoders.speakers import small_speakers


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["pretrain", *map(str, arguments)])


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """List clips of voices that nobody has labelled; give the list."""
    folder = tmp_path_factory.mktemp("speech")
    with (folder / "speech.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "speaker"))
        for clip in load_corpus("synthetic", speakers=2, clips_per_speaker=4).clips:
            name = clip.identifier.replace("/", "-") + ".wav"
            soundfile.write(folder / name, clip.read(), RATE)
            rows.writerow((name, "other", clip.speaker))
    return folder / "speech.csv"


def test_speech_without_labels_makes_weights_that_say_what_taught_them(
    speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "distilled.safetensors"
    given = ("--corpus", f"manifest={speech}", "--model", "tdnn", "--epochs", "1", "--out", out)
    result = run("distil", *given)
    assert result.exit_code == 0, result.output
    assert (
        "of 2 speakers (distilled from whisper-speech in 1 epochs, seed 0); licence: yours"
        in result.stdout
    )
    assert f"--model tdnn --front-end mfcc40 --initial {out}" in " ".join(result.stdout.split())
    weights, architecture = load_weights(out)
    assert architecture.name == "tdnn"
    assert architecture.task.front_end.name == "mfcc40"
    assert np.isfinite(weights).all()
    assert not split(weights, architecture)["logits/kernel"].any()
    card = card_of(TensorFile(out).metadata)
    assert card is not None
    assert [each.lesson for each in card.taught_by] == [
        "distilled from whisper-speech in 1 epochs, seed 0"
    ]
    assert not card.reached


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("--encoder", "mfcc40"), "mfcc40 is no speech encoder"),
        (("--front-end", "paper34"), "paper34 does not give a frame every 10 ms"),
        (("--front-end", "paper34", "--model", "conv"), "conv cannot be pretrained"),
        (("--out", "network.bin"), "would be no front end: its name has another ending"),
    ],
    ids=str,
)
def test_what_cannot_teach_or_learn_is_said(
    speech: Path, tmp_path: Path, given: tuple[str, ...], sentence: str
) -> None:
    out = tmp_path / "out.safetensors"
    result = run("distil", "--corpus", f"manifest={speech}", "--out", out, *given)
    assert isinstance(result.exception, SettingsError)
    assert sentence in result.exception.problem
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_said_before_anything_is_learnt(
    speech: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    (tmp_path / "file").touch()
    for out in (folder, tmp_path / "file" / "out.safetensors"):
        for lesson in ("distil", "ctc", "speakers"):
            # Before what only a corpus that is read can have wrong.
            result = run(lesson, "--corpus", f"manifest={speech.parent / 'none.csv'}", "--out", out)
            assert isinstance(result.exception, StorageError), (lesson, out)
            assert result.exception.problem.startswith(f"Cannot write {out}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors"]


def test_clips_teach_that_are_almost_too_short_or_too_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said faster or slower, such a clip may be one that cannot be heard."""
    rng = np.random.default_rng(0)
    with (tmp_path / "speech.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "speaker"))
        for name, seconds in (("short", 0.026), ("middle", 1), ("long", 599)):
            sound = 0.1 * rng.standard_normal(int(RATE * seconds), np.float32)
            soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
            rows.writerow((f"{name}.wav", "other", "kim"))
    task = Task(DEFAULT_TASK.labels, MFCC40)
    whole = load_speech("manifest", tmp_path / "speech.csv", task)
    architecture = architecture_of("tdnn", task)
    with tracker(shown=False) as bar:
        (speech,) = encoded([whole], architecture, FRONT_ENDS.get("whisper-speech"), bar)
    assert len(speech.corpus.clips) == 2, "the shortest is left out"
    assert "skipped short.wav: " in capsys.readouterr().err
    assert len(speech.heard) == len(speech.layers) == 2 * len(SPEEDS)


@pytest.mark.parametrize("option", ["--encoder", "--front-end", "--corpus"])
def test_what_is_heard_through_or_from_is_not_written_over(
    speech: Path, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "mine.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        write_resemblyzer(tmp_path / "pretrained.pt", small_speakers(), patch)
    import_speaker_encoder(tmp_path / "pretrained.pt", "1").write(path)
    made = path.read_bytes()
    given = ("--corpus", f"manifest={speech}", "--epochs", "1", "--out", path, option)
    result = run("distil", *given, f"manifest={path}" if option == "--corpus" else path)
    assert isinstance(result.exception, SettingsError)
    assert "which is read, is the same file" in result.exception.problem
    assert path.read_bytes() == made
