"""Files of captured motion: brought to 200 frames, lost markers filled, bad rows named."""

from pathlib import Path

import numpy as np
import pytest

from shared.corpora.motion import FRAMES, MotionFiles, brought_to_frames
from shared.errors import CorpusError
from tests.shared.corpora.trees import write_motion


def test_many_rows_become_means_of_their_share() -> None:
    rows = np.arange(1000, dtype=np.float32)[:, None]
    assert brought_to_frames(rows)[:, 0] == pytest.approx(np.arange(FRAMES) * 5 + 2)


@pytest.mark.parametrize("count", [1, 3, 199, 201, 399])
def test_any_number_of_rows_becomes_as_many_frames_in_their_order(count: int) -> None:
    motion = brought_to_frames(np.arange(count, dtype=np.float32)[:, None])
    assert motion.shape == (FRAMES, 1)
    assert (np.diff(motion[:, 0]) >= 0).all()
    assert motion[0, 0] == 0
    assert motion[-1, 0] == pytest.approx(count - 1, abs=1.5), "the mean of the last two, at most"


def test_a_marker_lost_for_a_while_lies_between_where_it_was_seen() -> None:
    rows = np.arange(400, dtype=np.float32).repeat(2).reshape(400, 2)
    rows[100:200, 0] = np.nan
    motion = brought_to_frames(rows)
    assert motion[:, 0] == pytest.approx(motion[:, 1], abs=1e-3)


def test_a_marker_never_seen_stays_unknown() -> None:
    rows = np.ones((50, 3), np.float32)
    rows[:, 1] = np.nan
    assert np.isnan(brought_to_frames(rows)).all(axis=0).tolist() == [False, True, False]


def test_files_stand_side_by_side_in_the_part_that_was_asked_for(tmp_path: Path) -> None:
    face = write_motion(tmp_path / "face.txt", columns=3, seconds=10)
    hand = write_motion(tmp_path / "hand.txt", columns=2, seconds=10, rate=120)
    motion = MotionFiles((face, hand), 4.0, 6.0).read()
    assert motion.shape == (FRAMES, 5)
    assert motion[0] == pytest.approx(4.0, abs=0.02)
    assert motion[-1] == pytest.approx(6.0, abs=0.02)


def test_commas_part_columns_too_and_nan_is_a_marker_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "motion.csv"
    path.write_text("frame,time,x,y\n1,0.0,1.5,NaN\n2,0.1,2.5,nan\n\n")
    motion = MotionFiles((path,)).read()
    assert motion[[0, -1], 0].tolist() == [1.5, 2.5]
    assert np.isnan(motion[:, 1]).all()


def test_motion_before_second_0_belongs_to_the_clip_too(tmp_path: Path) -> None:
    path = tmp_path / "motion.txt"
    path.write_text("Frame# Time X\n-1 -0.2 1.5\n0 -0.1 2.5\n1 0.0 3.5\n")
    motion = MotionFiles((path,)).read()
    assert motion[[0, -1], 0].tolist() == [1.5, 3.5]


def test_a_number_beyond_all_bounds_is_a_marker_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "motion.txt"
    path.write_text("1 0.0 1e39 1e999\n2 0.1 2.5 -1e400\n")
    motion = MotionFiles((path,)).read()
    assert motion[[0, -1], 0].tolist() == [2.5, 2.5]
    assert np.isnan(motion[:, 1]).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no motion"),
        ("Frame# Time X\n", "holds no motion"),
        ("Frame# Time X Y\n1 0.0 1 2\n2 0.1 1\n", "line 3: there are 1 numbers where 2 are "),
        ("1 0.0 1 2\n2 0.1 1 2 3\n", "line 2: there are 3 numbers where 2 are expected: markers"),
        ("1 0.0\n2 0.1\n", "line 1: there are 0 numbers where 1 are expected: markers are missing"),
        ("1 0.0 1\n2 0.1 left\n", "line 2: 'left' is no number"),
        ("1 0.0 1\n2\n", "line 2: '' is no number"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "motion.txt"
    path.write_text(text)
    with pytest.raises(CorpusError, match=rf"motion.txt.* ?{sentence}"):
        MotionFiles((path,)).read()


def test_a_part_that_was_not_captured_is_named(tmp_path: Path) -> None:
    path = write_motion(tmp_path / "motion.txt", columns=1, seconds=2)
    with pytest.raises(CorpusError, match=r"holds no motion between 3 and 4\.5 s"):
        MotionFiles((path,), 3.0, 4.5).read()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"Cannot read .*motion.txt: No such file"):
        MotionFiles((tmp_path / "motion.txt",)).read()
