"""Clips of one's own: CSV files and folders named by emotion."""

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.corpora import load_corpus
from shared.corpora.manifest import labelled_folders
from shared.errors import CorpusError
from shared.task import DEFAULT_TASK
from tests.shared.corpora.trees import write_clip, write_motion


def manifest(folder: Path, text: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_file(tmp_path: Path) -> None:
    for name in ("b/2.flac", "a/1.wav", "a/3.ogg"):
        write_clip(tmp_path / name, rate=8000 if name.endswith("wav") else 16_000)
    clips = load_corpus(
        "manifest",
        manifest(
            tmp_path,
            "\ufeffpath,emotion,speaker,language,text\r\n"
            'b/2.flac,Sad,ben,de,"Ach, ja."\r\n'
            "a/1.wav, angry ,anna,,\r\n"
            "a/3.ogg,other,anna,en,Well\r\n",
        ),
    ).clips
    assert [(clip.identifier, clip.label, clip.original) for clip in clips] == [
        ("a/1.wav", "angry", "angry"),
        ("a/3.ogg", None, "other"),
        ("b/2.flac", "sad", "Sad"),
    ]
    assert (clips[2].speaker, clips[2].language, clips[2].text) == ("ben", "de", "Ach, ja.")
    assert [len(clip.read()) for clip in clips] == [4800, 4800, 4800]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: the columns should be .* they are none"),
        ("path;emotion;speaker\n", "line 1: the columns should be"),
        ("path,emotion\na.wav,sad\n", "line 1: the columns should be"),
        ("path,emotion,speaker,mood\n", "line 1: the columns should be"),
        ("path,emotion,speaker,speaker\n", "line 1: the columns should be"),
        ("path,emotion,speaker\n", "lists no clips"),
        ("path,emotion,speaker\na.wav,sad,x\n,sad,x\n", "line 3: the path is empty"),
        ("path,emotion,speaker\na.wav,sad, \n", "line 2: the speaker is empty"),
        ("path,emotion,speaker\na.wav,glad,x\n", "line 2: the emotion 'glad' is none of angry"),
        ("path,emotion,speaker\na.wav,sad\n", "line 2: the row has another number of columns"),
        ("path,emotion,speaker\na.wav,sad,x,y\n", "line 2: the row has another number of columns"),
        ("path,emotion,speaker\na.wav,sad,x\nb.wav,sad,x\na.wav,sad,y\n", "line 4: .* in line 2"),
        ("path,emotion,speaker\na.wav,sad,x\nb/../a.wav,happy,y\n", "line 3: .* in line 2"),
        ('path,emotion,speaker\n"a.wav,sad,x\n', "after line 1: unexpected end of data"),
        ("path,emotion,speaker\na\0.wav,sad,x\n", "line 2: "),
        ("path,emotion,speaker,motion\na.wav,sad,x,a\0\n", "line 2: "),
        ("path,emotion,speaker\na.wav,other,x\n", "none of them labelled"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(CorpusError, match=sentence):
        load_corpus("manifest", manifest(tmp_path, text))


def test_what_is_said_and_a_file_of_motion_stand_beside_the_sound(tmp_path: Path) -> None:
    write_motion(tmp_path / "motion/a.csv", columns=4, seconds=2)
    table = "path,label,speaker,text,motion\na.wav,sad,x,Oh no.,motion/a.csv\nb.wav,sad,x,,\n"
    first, second = load_corpus("manifest", manifest(tmp_path, table)).clips
    assert first.text == "Oh no."
    assert first.motion is not None
    assert first.motion.read().shape == (200, 4)
    assert (second.text, second.motion) == ("", None)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="not a CSV file in UTF-8"):
        load_corpus("manifest", write_clip(tmp_path / "a.flac"))


words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).map(str.strip)


@given(rows=st.lists(st.tuples(st.sampled_from(DEFAULT_TASK.names), words, words), min_size=1))
def test_whatever_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["emotion", "speaker", "text", "path"])
            writer.writerows(
                (emotion, speaker or "x", text, f"{number:03}.wav")
                for number, (emotion, speaker, text) in enumerate(rows)
            )
        clips = load_corpus("manifest", path).clips
    assert [(clip.label, clip.speaker, clip.text) for clip in clips] == [
        (emotion, speaker or "x", text) for emotion, speaker, text in rows
    ]


def test_folders_named_by_emotion(tmp_path: Path) -> None:
    for name in ("Angry/1.wav", "sad/anna/2.flac", "sad/anna/3.wav", "fear/4.wav", "5.wav"):
        write_clip(tmp_path / name)
    (tmp_path / "sad" / "notes.txt").touch()
    (tmp_path / "happy").mkdir()
    clips = labelled_folders(tmp_path)
    assert [(clip.identifier, clip.label, clip.original, clip.speaker) for clip in clips] == [
        ("Angry/1.wav", "angry", "Angry", "unknown"),
        ("fear/4.wav", None, "fear", "unknown"),
        ("sad/anna/2.flac", "sad", "sad", "anna"),
        ("sad/anna/3.wav", "sad", "sad", "anna"),
    ]
    assert load_corpus("manifest", tmp_path).clips == clips


def test_folders_of_other_names_only_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "fear" / "1.wav")
    with pytest.raises(CorpusError, match=r"expected folders named angry, .*it holds fear/"):
        labelled_folders(tmp_path)
