"""Which label of a task a corpus's word stands for."""

from collections import Counter
from pathlib import Path

import pytest

from shared.corpora import Corpus, load_corpus
from shared.corpora.labels import ALIASES, emotion_of, label_of
from shared.errors import CorpusError
from shared.task import DEFAULT_TASK, PAPER34, Task, labels_of
from tests.shared.corpora import trees

EIGHT = Task(
    labels_of(("angry", "happy", "neutral", "sad", "fearful", "disgusted", "surprised", "calm")),
    PAPER34,
)


def task(*names: str) -> Task:
    return Task(labels_of(names), PAPER34)


def labels(corpus: Corpus) -> dict[str, str | None]:
    return {Path(clip.identifier).stem: clip.label for clip in corpus.clips}


def manifest(folder: Path, *rows: str, column: str = "label") -> Path:
    path = folder / "clips.csv"
    path.write_text("\n".join([f"path,{column},speaker", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("anger", "angry"),
        ("ANG", "angry"),
        ("Wut", "angry"),
        ("Wu\u0308tend", "angry"),
        (" happiness ", "happy"),
        ("Freude", "happy"),
        ("fear", "fearful"),
        ("Angst", "fearful"),
        ("disgust", "disgusted"),
        ("surprise", "surprised"),
        ("calm", "calm"),
        ("boredom", None),
        ("laughing", None),
        ("", None),
    ],
)
def test_words_for_an_emotion_are_its_label_in_any_case(word: str, label: str | None) -> None:
    assert label_of(word, EIGHT) == label


def test_a_label_may_itself_be_any_word_for_its_emotion() -> None:
    german = task("wut", "freude", "laughing")
    assert label_of("angry", german) == "wut"
    assert label_of("happiness", german) == "freude"
    assert label_of("Laughing", german) == "laughing"
    assert label_of("sad", german) is None


def test_of_two_words_for_an_emotion_each_stands_for_itself() -> None:
    assert [label_of(word, task("anger", "angry")) for word in ("angry", "anger", "wut")] == [
        "angry",
        "anger",
        "anger",
    ]


def test_no_word_stands_for_two_emotions() -> None:
    words = [word for name, others in ALIASES.items() for word in (name, *others)]
    assert len(words) == len(set(words))
    assert all(emotion_of(word) for word in words)
    assert set(DEFAULT_TASK.names) < set(EIGHT.names) < set(ALIASES)


def test_published_corpora_map_what_they_have(tmp_path: Path) -> None:
    for name in ("ravdess", "emodb", "cremad", "iemocap"):
        getattr(trees, name)(tmp_path / name)
    wider = task(*EIGHT.names, "bored", "frustrated", "excited")
    assert labels(load_corpus("ravdess", tmp_path / "ravdess", EIGHT)) == {
        "03-01-01-01-01-01-01": "neutral",
        "03-01-02-01-02-01-01": "calm",
        "03-01-05-02-01-02-24": "angry",
    }
    assert labels(load_corpus("emodb", tmp_path / "emodb", wider))["08b10Lb"] == "bored"
    assert labels(load_corpus("cremad", tmp_path / "cremad", EIGHT))["1091_WSI_FEA_XX"] == "fearful"
    iemocap = load_corpus("iemocap", tmp_path / "iemocap", wider)
    originals = {clip.original: clip.label for clip in iemocap.clips}
    assert originals["exc"] == "excited", "a task that has a label for it gets it"


def test_what_a_task_lacks_stays_listed_without_a_label(tmp_path: Path) -> None:
    trees.ravdess(tmp_path)
    corpus = load_corpus("ravdess", tmp_path, task("calm", "sad"))
    assert [(clip.original, clip.label) for clip in corpus.clips] == [
        ("neutral", None),
        ("calm", "calm"),
        ("angry", None),
    ]
    assert len(corpus.labelled) == 1


def test_all_of_real_ravdess(speech: Path) -> None:
    corpus = load_corpus("ravdess", speech / "ravdess", EIGHT)
    counts = Counter(clip.label for clip in corpus.clips)
    assert counts == {name: 96 if name == "neutral" else 192 for name in EIGHT.names}


@pytest.mark.parametrize("column", ["label", "emotion"])
def test_labels_beyond_emotions_come_from_a_csv_file(tmp_path: Path, column: str) -> None:
    sounds = task("laughing", "crying", "shouting")
    path = manifest(tmp_path, "1.wav,Laughing,a", "2.wav,crying,a", "3.wav,other,b", column=column)
    clips = load_corpus("manifest", path, sounds).clips
    assert [(clip.label, clip.original) for clip in clips] == [
        ("laughing", "Laughing"),
        ("crying", "crying"),
        (None, "other"),
    ]
    with pytest.raises(CorpusError, match=f"line 2: the {column} 'Laughing' is none of angry"):
        load_corpus("manifest", path)


def test_labels_beyond_emotions_come_from_folders(tmp_path: Path) -> None:
    for name in ("laughing/anna/1.wav", "shouting/2.wav", "sad/3.wav"):
        trees.write_clip(tmp_path / name)
    found = load_corpus("manifest", tmp_path, task("laughing", "crying", "shouting"))
    assert [clip.label for clip in found.clips] == ["laughing", None, "shouting"]
    with pytest.raises(CorpusError, match="folders named whispering, singing with clips"):
        load_corpus("manifest", tmp_path, task("whispering", "singing"))


def test_an_emotion_that_a_task_lacks_is_other_in_a_csv_file(tmp_path: Path) -> None:
    path = manifest(tmp_path, "1.wav,fear,a", "2.wav,Wut,a")
    assert [clip.label for clip in load_corpus("manifest", path).clips] == [None, "angry"]


def test_two_columns_of_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text("path,label,emotion,speaker\n1.wav,sad,sad,a\n")
    with pytest.raises(CorpusError, match="line 1: the columns should be path,label,speaker"):
        load_corpus("manifest", path)
