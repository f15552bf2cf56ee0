"""Clips of one's own: a CSV file that lists them, or folders named by label."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from shared.audio.clip_search import clips_below, remark
from shared.corpora.corpus import (
    AudioFile,
    Clip,
    Corpus,
    CorpusInfo,
    not_there,
)
from shared.corpora.labels import emotion_of, label_of
from shared.corpora.motion import MotionFiles
from shared.errors import CorpusError
from shared.storage.files import open_file
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="manifest",
    title="clips of your own",
    description=(
        "Clips of your own, in any audio format: listed in a CSV file, or sorted into folders "
        "named by label: angry, happy, neutral and sad, or what --labels says."
    ),
    licence="yours",
    obtain="record it, or list another corpus's files",
    tree=(
        "a CSV file with the columns path,label,speaker[,language][,text][,motion]\n"
        "  (paths relative to the CSV; label: one of --labels, or other; text: what\n"
        "   is said; motion: the path of a file of captured motion)\n"
        "or a folder: angry/anna/1.wav   (speaker anna)\n"
        "             angry/2.wav        (speaker unknown)"
    ),
)

OTHER: Final = "other"
"""Label of a row that has none of the task's."""

UNKNOWN: Final = "unknown"
"""Speaker of a clip that lies directly in a label's folder."""

_MEND: Final = "Correct the file; 'edge-client corpora' shows what it should hold."

_REQUIRED: Final = ("path", "speaker")
_LABEL: Final = ("label", "emotion")
"""What the column of the labels may be called."""

_COLUMNS: Final = (*_REQUIRED, *_LABEL, "language", "text", "motion")


def load(data: Path, task: Task = DEFAULT_TASK) -> Corpus:
    """Load the clips that a CSV file lists, or those in folders named by label.

    Parameters
    ----------
    data
        The CSV file, or the folder that holds the labels' folders.
    task
        Whose labels the clips get.

    Raises
    ------
    CorpusError
        If there are no clips, or a row of the CSV file is wrong: it names the line.
    """
    if data.is_dir():
        return Corpus(INFO, labelled_folders(data, task))
    if not data.is_file():
        raise not_there(INFO, data, "a CSV file, or a folder of labels' folders")
    clips = sorted(_rows(data, task), key=lambda clip: clip.identifier)
    if not clips:
        raise CorpusError(f"{data} lists no clips.", _MEND)
    return Corpus(INFO, tuple(clips))


def labelled_folders(data: Path, task: Task = DEFAULT_TASK) -> tuple[Clip, ...]:
    """Find the audio files in sub-folders named by label.

    The first folder within a label's folder names the speaker, however deep the clip lies; without
    one, it is ``"unknown"``. Sub-folders of other names hold clips with other labels: a remark
    names them, as they may be misspelt.

    Parameters
    ----------
    data
        The folder that holds the labels' folders.
    task
        Whose labels the clips get.

    Returns
    -------
    tuple of Clip
        In the order of their paths.

    Raises
    ------
    CorpusError
        If no sub-folder is named by one of the labels, or those that are hold no audio.
    """
    clips, others, loose = [], defaultdict(list), []
    for path in clips_below(data):
        below = path.relative_to(data)
        if len(below.parts) == 1:
            loose.append(below)
            continue
        word, first, *deeper = below.parts
        label = label_of(word, task)
        if label is None and word.lower() != OTHER:
            others[f"in the folder {word}, which is none of {', '.join(task.names)}"].append(below)
        clips.append(
            Clip(
                identifier=below.as_posix(),
                source=AudioFile(path),
                label=label,
                original=word,
                speaker=first if deeper else UNKNOWN,
            )
        )
    if loose:
        others["in no label's folder"] = loose
    remark(f"Clips in {data} are left out", others)
    if not any(clip.label for clip in clips):
        raise not_there(INFO, data, f"folders named {', '.join(task.names)} with clips in them")
    return tuple(clips)


def _rows(file: Path, task: Task) -> Iterator[Clip]:
    seen: dict[str, int] = {}
    try:
        # utf-8-sig: spreadsheets begin their CSV files with a byte-order mark.
        with TextIOWrapper(open_file(file), encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            column = _label_column(file, list(reader.fieldnames or ()))
            for row in reader:
                clip = _clip(file, reader.line_num, row, column, task)
                # One file has many names: by another folder, or by a link.
                own = os.path.realpath(file.parent / clip.identifier)
                if own in seen:
                    raise CorpusError(
                        f"{file}, line {reader.line_num}: {clip.identifier} is in line "
                        f"{seen[own]} already.",
                        "Take one of the two lines out.",
                    )
                seen[own] = reader.line_num
                yield clip
    except UnicodeDecodeError as error:
        raise CorpusError(f"{file} is not a CSV file in UTF-8.", _MEND) from error
    except csv.Error as error:
        raise CorpusError(f"{file}, after line {reader.line_num}: {error}.", _MEND) from error
    except OSError as error:
        raise CorpusError(f"Cannot read {file}: {error.strerror}.") from error


def _label_column(file: Path, header: list[str]) -> str:
    """Check the header; give the name of the labels' column."""
    missing = [name for name in _REQUIRED if name not in header]
    odd = [name for name in header if name not in _COLUMNS]
    columns = [name for name in _LABEL if name in header]
    if missing or odd or len(columns) != 1 or len(set(header)) < len(header):
        raise CorpusError(
            f"{file}, line 1: the columns should be "
            "path,label,speaker[,language][,text][,motion], "
            f"they are {','.join(header)[:100] or 'none'}.",
            _MEND,
        )
    return columns[0]


def _clip(file: Path, line: int, row: dict[str, str | None], column: str, task: Task) -> Clip:
    """Make the clip of a row; ``column`` names the one that holds its label."""
    where = f"{file}, line {line}"
    # csv puts what lies beyond the last column under the key None, and None where one is missing.
    if set(row) - set(_COLUMNS) or None in row.values():
        raise CorpusError(
            f"{where}: the row has another number of columns than the header.",
            "Put quotes around what holds a comma.",
        )
    cells = {name: (value or "").strip() for name, value in row.items()}
    for name in ("path", column, "speaker"):
        if not cells[name]:
            raise CorpusError(f"{where}: the {name} is empty.", _MEND)
    motion = cells.get("motion", "")
    if "\0" in cells["path"] + motion:
        raise CorpusError(f"{where}: the path holds a zero byte.", _MEND)
    word = cells[column]
    label = label_of(word, task)
    # A word that nobody knows is rather a slip than a label that this task does without.
    if label is None and word.lower() != OTHER and emotion_of(word) is None:
        raise CorpusError(
            f"{where}: the {column} {word!r} is none of {', '.join(task.names)}, {OTHER}.",
            f"Write {OTHER} for any other {column}: such clips are left out.",
        )
    return Clip(
        identifier=Path(cells["path"]).as_posix(),
        source=AudioFile(file.parent / cells["path"]),
        label=label,
        original=word,
        speaker=cells["speaker"],
        language=cells.get("language", ""),
        text=cells.get("text", ""),
        motion=MotionFiles((file.parent / motion,)) if motion else None,
    )
