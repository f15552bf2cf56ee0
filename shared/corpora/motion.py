"""Motion captured beside a clip's sound: where markers on face, hands and head were, over time.

A motion file is a table in text, as those of IEMOCAP (Busso et al., 2008): lines that name the
columns, then one row a moment: its number, its time in seconds, and three coordinates of each
marker, or angles and shifts of the head. Blanks or commas part them; NaN is a marker not seen.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.errors import CorpusError
from shared.storage.digests import remembered_sha256_of
from shared.storage.files import open_file

FRAMES: Final = 200
"""Frames that every clip's motion is brought to (Tripathi et al., 2018, arXiv 1804.05788)."""

Motion = NDArray[np.float32]
"""Motion of a clip, shape ``(FRAMES, columns)``; a column of NaN is a marker never seen."""

_BESIDE: Final = 2
"""Columns before those of the markers: number and time."""

_REMEDY: Final = "Take the file as it was recorded; docs/corpora.md says what it should hold."


class MotionSource(Protocol):
    """Where the motion of a clip comes from."""

    def read(self) -> Motion:
        """Give the motion.

        Raises
        ------
        CorpusError
            If it cannot be read.
        """
        ...

    def content_key(self) -> str:
        """Name the content: the same motion has the same key, another motion another one.

        Raises
        ------
        OSError
            If its file cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class MotionFiles:
    """Motion in files whose columns belong side by side.

    Attributes
    ----------
    paths
        The files: of face, hands and head, say.
    start, end
        Which part of them is the clip's, seconds; all of it if not given, also what lies before 0.
    """

    paths: tuple[Path, ...]
    start: float = -math.inf
    end: float = math.inf

    def read(self) -> Motion:
        """Read the clip's part of all files, each brought to :data:`FRAMES` frames.

        Raises
        ------
        CorpusError
            If a file cannot be read, a row lacks markers, or it holds nothing of the clip.
        """
        return np.concatenate([self._of(path) for path in self.paths], axis=1)

    def content_key(self) -> str:
        """Give the SHA-256 of each file's bytes, in hexadecimal, and the part that is the clip's.

        Raises
        ------
        OSError
            If a file cannot be read.
        """
        return " ".join(
            [*map(remembered_sha256_of, self.paths), f"{self.start:g} to {self.end:g} s"]
        )

    def _of(self, path: Path) -> Motion:
        lines = _lines(path)
        first = next((number for number, line in enumerate(lines) if _begins(line)), len(lines))
        rows = range(first, len(lines))
        within = rows[
            bisect_left(rows, self.start, key=lambda row: _time(path, row, lines)) : bisect_right(
                rows, self.end, key=lambda row: _time(path, row, lines)
            )
        ]
        if not within:
            part = "" if self.end == math.inf else f" between {self.start:g} and {self.end:g} s"
            raise CorpusError(f"{path} holds no motion{part}.", _REMEDY)
        columns = len(lines[first].split())
        numbers = [_numbers(path, row, lines, columns) for row in within]
        with np.errstate(over="ignore"):  # beyond float32 nothing was seen
            return brought_to_frames(np.array(numbers, np.float32))


def brought_to_frames(rows: NDArray[np.float32]) -> Motion:
    """Bring rows of any number to :data:`FRAMES`: each the mean of its share, or its nearest row.

    A marker that was lost for a while is put between where it was seen before and after.

    Parameters
    ----------
    rows
        Shape ``(n, columns)``, NaN where a marker was not seen, n at least 1.
    """
    count = len(rows)
    places = np.arange(FRAMES + 1) * count // FRAMES
    first, last = places[:-1], np.maximum(places[1:], places[:-1] + 1)
    # Differences of running sums: one pass, whatever the pieces' lengths.
    seen = np.isfinite(rows)
    zero = np.zeros((1, rows.shape[1]))
    total = np.concatenate([zero, np.cumsum(np.where(seen, rows, 0), axis=0, dtype=np.float64)])
    times = np.concatenate([zero, np.cumsum(seen, axis=0)])
    known = times[last] - times[first]
    with np.errstate(invalid="ignore"):
        means = (total[last] - total[first]) / known
    motion = np.full(means.shape, np.nan, np.float32)
    frames = np.arange(FRAMES)
    for column in range(motion.shape[1]):
        there = known[:, column] > 0
        if there.any():
            motion[:, column] = np.interp(frames, frames[there], means[there, column])
    return motion


def _lines(path: Path) -> list[bytes]:
    try:
        with open_file(path) as file:
            return file.read().replace(b",", b" ").rstrip().splitlines()
    except OSError as error:
        raise CorpusError(f"Cannot read {path}: {error.strerror}.") from error


def _begins(line: bytes) -> bool:
    """Say whether a line is a row of numbers: not one that names the columns."""
    return line.lstrip().removeprefix(b"-")[:1].isdigit()


def _time(path: Path, row: int, lines: list[bytes]) -> float:
    words = lines[row].split(None, _BESIDE)
    return _number(path, row, words[1] if len(words) > 1 else b"")


def _numbers(path: Path, row: int, lines: list[bytes], columns: int) -> list[float]:
    words = lines[row].split()
    if len(words) != columns or columns == _BESIDE:
        raise CorpusError(
            f"{path}, line {row + 1}: there are {max(len(words) - _BESIDE, 0)} numbers where "
            f"{max(columns - _BESIDE, 1)} are expected: markers are missing.",
            _REMEDY,
        )
    return [_number(path, row, word) for word in words[_BESIDE:]]


def _number(path: Path, row: int, word: bytes) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise CorpusError(
            f"{path}, line {row + 1}: {word[:20].decode('latin-1')!r} is no number.", _REMEDY
        ) from error
