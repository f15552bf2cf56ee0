"""Vectors that an experiment compares: side by side, taught to tell speakers, of what is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_client.simulation.studies import vectors as module
from edge_client.simulation.studies.language_settings import EmbeddingSettings, called
from edge_client.simulation.studies.languages import languages_named
from edge_client.simulation.studies.vectors import VectorMaker
from shared.audio import RATE
from shared.command import progress_console
from shared.corpora import load_corpus
from shared.errors import CorpusError, RunError, SettingsError
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile
from shared.task import Task, labels_of
from tests.edge_client.device.pooled import NAME, POOLED


def write_speech(folder: Path, seed: int, *, text: str = "") -> str:
    """Write clips of four synthetic voices with what is said; give where they are listed."""
    folder.mkdir()
    task = Task(labels_of(("angry", "sad")), POOLED.shape)
    rows = ["path,label,speaker,text"]
    for number, clip in enumerate(load_corpus("synthetic", task=task, speakers=4).labelled[:48]):
        soundfile.write(folder / f"{number}.wav", clip.read() * (1 + seed) / 3, RATE)
        rows.append(f"{number}.wav,{clip.label},{clip.speaker},{text and f'{text} {number % 3}'}")
    (folder / "speech.csv").write_text("\n".join(rows))
    return f"manifest:{folder / 'speech.csv'}"


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, ...]:
    """Write clips of one language with sentences."""
    return (f"en={write_speech(tmp_path / 'en', 0, text='well no')}",)


def maker(corpus: tuple[str, ...], out: Path, **given: Any) -> VectorMaker:
    common = {"labels": "angry,sad", "folds": 2, "pretraining_epochs": 1, "corpus": corpus}
    settings = EmbeddingSettings.parse({**common, **given})
    named = languages_named(settings.corpus, fewest=1)
    return VectorMaker(settings, named, out, progress_console(), overwrite=False)


def test_vectors_stand_side_by_side(place: tuple[str, ...], tmp_path: Path) -> None:
    name = f"{NAME}+text+whisper-speech"
    found = maker(place, tmp_path, vectors=name).make(name, "en")
    assert found.front_end.shape.features == 6 + 256 + 1536
    features = found.languages.whole.examples.features
    assert features.shape[1:] == (1, 6 + 256 + 1536)
    text = features[:, 0, 6:262]
    assert len(np.unique(text, axis=0)) == 3, "there are three sentences"
    assert found.data.task.front_end.name == "pooled-levels"


def test_text_alone_needs_no_encoder_of_sound(place: tuple[str, ...], tmp_path: Path) -> None:
    found = maker(place, tmp_path, vectors="text").make("text", "en")
    assert found.front_end.shape.features == 256
    assert found.front_end.hop is None


@pytest.mark.usefixtures("few_synthetic")
def test_a_network_is_taught_by_the_other_languages_alone(
    place: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MODEL", "tdnn")
    corpus = (*place, "de=synthetic")
    found = maker(corpus, tmp_path, vectors="speakers").make("speakers", "en")
    assert found.front_end.shape.features == 128
    path = tmp_path / "speakers" / "without-en.safetensors"
    card = card_of(TensorFile(path).metadata)
    assert card is not None
    assert [own.corpus for own in card.taught_by] == ["synthetic"]
    made = path.stat().st_mtime_ns
    maker(corpus, tmp_path, vectors="speakers").make("speakers", "en")
    assert path.stat().st_mtime_ns == made, "it is kept"
    for change in ({"pretraining_epochs": 2}, {"seed": 1}):
        other = maker(corpus, tmp_path, vectors="speakers", **change)
        with pytest.raises(RunError, match="was pretrained otherwise, or by other clips"):
            other.make("speakers", "en")
    with monkeypatch.context() as later:
        later.setattr(module, "_MODEL", "tdnn13")
        with pytest.raises(RunError, match="was pretrained otherwise, or by other clips"):
            maker(corpus, tmp_path, vectors="speakers").make("speakers", "en")
    with pytest.raises(SettingsError, match="taught by synthetic: it may have heard who is"):
        maker(corpus, tmp_path, vectors=str(path))
    assert maker(place, tmp_path, vectors=str(path)).make(str(path), "en").name == str(path)


def test_what_cannot_be_made_is_one_sentence(place: tuple[str, ...], tmp_path: Path) -> None:
    for vectors, given, sentence in (
        ("speakers", {}, "nobody to learn from: en is the only language"),
        ("text", {"sentences": str(tmp_path / "nothing")}, "There is no sentence encoder"),
        ("paper34", {}, "paper34 gives up to 100 frames"),
        ("text+mfcc40", {}, "mfcc40 gives up to 1000 frames"),
        ("nothing", {}, "There is no front end nothing"),
        ("text,text", {}, "Two --vectors are called text"),
        ("text+", {}, "There is no front end"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            maker(place, tmp_path, vectors=vectors, **given)


def test_speech_without_transcripts_has_no_vectors_of_text(tmp_path: Path) -> None:
    place = f"en={write_speech(tmp_path / 'en', 0)}"
    with pytest.raises(CorpusError, match="Of no clip it is known what is said"):
        maker((place,), tmp_path, vectors="text").make("text", "en")


def test_files_are_called_by_their_names() -> None:
    assert called("a/ge2e.safetensors+text") == "ge2e+text"
    assert called("whisper-speech") == "whisper-speech"
