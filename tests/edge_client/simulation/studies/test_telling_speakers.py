"""Pretraining by who speaks: the embedding tells speakers, and is a front end afterwards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

from edge_client.cli import app
from edge_client.simulation.studies import telling_speakers
from edge_client.simulation.studies.pretraining import Course, pretrain
from edge_client.simulation.studies.telling_speakers import TellingSpeakers, tell_speakers
from shared.architectures import architecture_of
from shared.audio import RATE
from shared.command.progress import tracker
from shared.corpora import AudioFile, load_corpus
from shared.corpora.manifest import UNKNOWN
from shared.errors import CorpusError, SettingsError
from shared.front_ends import MFCC40, front_end_named
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile
from shared.task import DEFAULT_TASK, Task
from shared.training import Examples
from shared.weights import Weights, split
from tests.edge_client.simulation.studies.test_pretraining import SMALL
from tests.shared.encoders.networks import embeddings

SPOKEN = architecture_of("tdnn", Task(DEFAULT_TASK.labels, MFCC40))


def test_the_embedding_learns_who_speaks_and_the_logits_nothing() -> None:
    rng = np.random.default_rng(1)
    speakers = np.arange(24, dtype=np.int32) % 3
    features = rng.standard_normal((24, 50, 6), np.float32)
    # A voice is how loud three of the features are: no mean tells it.
    features[np.arange(24), :, speakers] *= 3
    some = Examples(features, np.full(24, 50, np.int32), np.zeros(24, np.int32))
    lesson = TellingSpeakers(speakers, SMALL)
    with tracker(shown=False) as bar:
        weights = pretrain(SMALL, some, lesson, Course(60, batch=8, rate=1e-2), bar)
    kernel, bias = (variable.numpy() for variable in lesson.variables)
    told = (embeddings(SMALL, weights, some) @ kernel + bias).argmax(axis=1)
    assert (told == speakers).mean() > 0.9
    assert not split(weights, SMALL)["logits/kernel"].any()


def run(table: Path, out: Path, *given: str) -> Result:
    common = ["pretrain", "speakers", "--corpus", f"manifest={table}", "--epochs", "1"]
    return CliRunner().invoke(app, [*common, "--out", str(out), *given])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = ["path,label,speaker"]
    for clip in load_corpus("synthetic", speakers=2, clips_per_speaker=4).clips:
        name = clip.identifier.replace("/", "-") + ".wav"
        soundfile.write(tmp_path / name, clip.read(), RATE)
        rows.append(f"{name},other,{clip.speaker}")
    (tmp_path / "speech.csv").write_text("\n".join(rows))
    return tmp_path / "speech.csv"


def test_clips_that_cannot_be_used_are_named_and_have_taught_nothing(
    table: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    table.write_text(table.read_text() + "\nbroken.wav,other,somebody")
    result = run(table, tmp_path / "speakers.safetensors", "--model", "tdnn")
    assert "8 clips of 2 speakers" in result.stdout
    assert "skipped broken.wav: " in result.stderr
    assert "1 clips were skipped." in result.stderr
    # Of two speakers one has nothing that can be heard.
    first, *rows = table.read_text().splitlines()
    speaker = rows[0].rpartition(",")[2]
    own = [row for row in rows if row.endswith((f",{speaker}", ",somebody"))]
    table.write_text("\n".join([first, *own]))
    alone = run(table, tmp_path / "alone.safetensors", "--model", "tdnn")
    assert isinstance(alone.exception, CorpusError)
    assert "nobody to tell them from" in alone.exception.problem


def test_the_file_says_what_taught_it_and_is_a_front_end(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "speakers.safetensors"
    result = run(table, out, "--model", "tdnn")
    assert result.exit_code == 0, result.output
    assert "8 clips of 2 speakers (telling speakers in 1 epochs, seed 0)" in result.stdout
    card = card_of(TensorFile(out).metadata)
    assert card is not None
    assert [own.corpus for own in card.taught_by] == ["manifest"]
    found = front_end_named(str(out))
    (clip, *_) = load_corpus("synthetic", speakers=1, clips_per_speaker=4).clips
    assert found.compute(clip.read()).shape == (1, 128)


def test_people_of_one_name_in_two_corpora_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, clips = SPOKEN.task, load_corpus("synthetic", speakers=2, clips_per_speaker=4).clips
    corpora = []
    for place in range(2):
        unknown = tuple(replace(clip, speaker=UNKNOWN) for clip in clips[4 * place :][:4])
        corpora.append(replace(load_corpus("synthetic", task=task), clips=unknown))
    told: list[TellingSpeakers] = []

    def noting(*given: Any) -> Weights:
        told.append(given[2])
        return pretrain(*given)

    monkeypatch.setattr(telling_speakers, "pretrain", noting)
    with tracker(shown=False) as bar:
        tell_speakers(corpora, SPOKEN, Course(1), bar)
    (lesson,) = told
    assert lesson.targets(np.arange(8), 1)[0].tolist() == [0] * 4 + [1] * 4
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(80, np.float32), RATE)
    unheard = replace(corpora[1].clips[0], source=AudioFile(short))
    usable = replace(corpora[1].clips[0], speaker="kim")
    lone = replace(corpora[1], clips=(usable, unheard))
    with tracker(shown=False) as bar, pytest.raises(CorpusError, match="one speaker, kim: nobody"):
        tell_speakers([lone], SPOKEN, Course(1), bar)


def test_what_cannot_be_learnt_is_one_sentence(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    conv = run(table, out, "--front-end", "paper34", "--model", "conv")
    assert isinstance(conv.exception, SettingsError)
    assert "conv cannot be pretrained" in conv.exception.problem
    first, *rows = table.read_text().splitlines()
    speaker = rows[0].rpartition(",")[2]
    table.write_text("\n".join([first, *(row for row in rows if row.endswith(f",{speaker}"))]))
    alone = run(table, out, "--model", "tdnn")
    assert isinstance(alone.exception, CorpusError)
    assert "nobody to tell them from" in alone.exception.problem
    assert not out.exists()
