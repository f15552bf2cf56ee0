"""A search through folders finds every clip once, and names what it passes over."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.audio.clip_search import clips_below
from shared.corpora import load_corpus
from shared.environment import remark_once
from tests.as_owner import OWNER, reachable


@pytest.fixture(autouse=True)
def _no_remark_was_made() -> None:
    remark_once.cache_clear()


def clip(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(4_000, np.float32), 16_000)
    return path


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in clips_below(folder)]


def test_hidden_folders_are_not_looked_through(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (".stversions/1~2026.wav", ".Trash-1000/files/deleted.wav", "anna/._1.wav"):
        clip(tmp_path / name)
    clip(tmp_path / "anna/1.wav")
    (tmp_path / ".DS_Store").touch()
    assert found(tmp_path) == ["anna/1.wav"]
    assert "3 hidden (.Trash-1000, .stversions, anna/._1.wav)" in caplog.text
    assert "DS_Store" not in caplog.text


def test_a_linked_folder_is_looked_through_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip(tmp_path / "store/1.wav")
    clip(tmp_path / "in/angry/2.wav")
    (tmp_path / "in/angry/anna").symlink_to(tmp_path / "store")
    (tmp_path / "in/angry/round").symlink_to(tmp_path / "in")
    assert found(tmp_path / "in") == ["angry/2.wav", "angry/anna/1.wav"]
    assert "1 met before by another path (angry/round)" in caplog.text


def test_what_is_passed_over_is_named_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip(tmp_path / "1.wav")
    (tmp_path / "gone.wav").symlink_to("../.git/annex/objects/x")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    for number in range(5):
        (tmp_path / f"{number}.odd").touch()
    assert found(tmp_path) == ["1.wav"]
    (said,) = caplog.messages
    assert said == (
        f"In {tmp_path} are passed over: 5 of other formats (0.odd, 1.odd, 2.odd, …); "
        "1 links to nothing (gone.wav); 1 that cannot be read (loop.wav); "
        "1 that are no files (pipe.wav)."
    )


@contextmanager
def of_no_rights() -> Iterator[None]:
    """Be another user for a while, if this is root: root reads every folder."""
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(OWNER)
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_locked_folder_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with reachable() as folder:
        locked = clip(folder / "locked/1.wav").parent
        locked.chmod(0)
        with of_no_rights():
            assert found(folder) == []
        locked.chmod(0o700)
    assert "1 that cannot be read (locked)" in caplog.text


def test_nothing_is_said_where_nothing_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip(tmp_path / "anna/1.wav")
    assert found(tmp_path) == ["anna/1.wav"]
    assert not caplog.messages


def test_the_first_folder_below_a_label_names_the_speaker(tmp_path: Path) -> None:
    for speaker in ("anna", "ben"):
        clip(tmp_path / "angry" / speaker / "session1" / "1.wav")
    assert load_corpus("manifest", tmp_path).speakers == ("anna", "ben")


def test_folders_of_no_label_and_clips_in_none_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Anger/1.wav", "hapy/1.wav", "hapy/2.wav", "other/1.wav", "3.wav"):
        clip(tmp_path / name)
    corpus = load_corpus("manifest", tmp_path)
    assert [one.identifier for one in corpus.labelled] == ["Anger/1.wav"]
    assert (
        "2 in the folder hapy, which is none of angry, happy, neutral, sad "
        "(hapy/1.wav, hapy/2.wav); 1 in no label's folder (3.wav)." in caplog.text
    )
    assert "other/" not in caplog.text


def test_files_whose_names_are_not_the_corpus_s_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("03-01-05-01-01-01-01.wav", "03-01-05-01-01-01-01 (1).wav"):
        clip(tmp_path / "Actor_01" / name)
    assert len(load_corpus("ravdess", tmp_path).clips) == 1
    assert "1 whose names are not of RAVDESS's speech (Actor_01/03-01-05" in caplog.text
