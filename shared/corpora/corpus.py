"""What a corpus is: clips with labels, and the facts a person needs to obtain it."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Final, Protocol

from shared.audio import SUFFIXES, Samples, read_clip
from shared.corpora.motion import MotionSource
from shared.errors import CorpusError
from shared.model_notes.model_card import Teaching, cut
from shared.storage.digests import remembered_sha256_of
from shared.storage.files import open_file

SHOWN: Final = 5
"""Entries of a wrong folder that an error names: enough to recognise the folder."""


class ClipSource(Protocol):
    """Where the sound of a clip comes from."""

    def read(self) -> Samples:
        """Give the sound: 16 kHz, mono, float32, shape ``(samples,)``."""
        ...

    def content_key(self) -> str:
        """Name the content: the same sound has the same key, another sound another one."""
        ...


@dataclass(frozen=True, slots=True)
class AudioFile:
    """Sound in a file, of any format that soundfile reads."""

    path: Path

    def read(self) -> Samples:
        """Decode the file to 16 kHz mono float32, shape ``(samples,)``.

        Raises
        ------
        AudioError
            If it is missing or damaged.
        """
        return read_clip(self.path)

    def content_key(self) -> str:
        """Give the SHA-256 of the file's bytes, in hexadecimal.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        return remembered_sha256_of(self.path)


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance of a corpus.

    Attributes
    ----------
    identifier
        Its path below the corpus's folder, with ``/``; unique within the corpus.
    source
        Where its sound comes from.
    label
        The task's label that it has; ``None`` if it has none of them.
    original
        Its label in the corpus's own words.
    speaker
        Who speaks, unique within the corpus.
    language
        ISO 639 code; empty if unknown.
    text
        What is said; empty if unknown.
    motion
        Where its motion comes from; ``None`` if nobody captured it.
    """

    identifier: str
    source: ClipSource
    label: str | None
    original: str
    speaker: str
    language: str = ""
    text: str = ""
    motion: MotionSource | None = None

    def read(self) -> Samples:
        """Give the sound: 16 kHz, mono, float32, shape ``(samples,)``.

        Raises
        ------
        AudioError
            If it cannot be read.
        """
        return self.source.read()

    def content_key(self) -> str:
        """Name the content: SHA-256 of a file's bytes, or of what a clip is made from.

        Raises
        ------
        OSError
            If its file cannot be read.
        """
        return self.source.content_key()


@dataclass(frozen=True, slots=True)
class CorpusInfo:
    """What a person needs to know before using a corpus.

    Attributes
    ----------
    name
        As given to ``--corpus``.
    title
        Its published name.
    description
        What it holds.
    licence
        Under which terms.
    obtain
        Where to get it.
    tree
        The expected files below ``--data``; empty for a corpus that is made on the spot.
    """

    name: str
    title: str
    description: str
    licence: str
    obtain: str
    tree: str

    def teaching(
        self, clips: int | None = None, speakers: int | None = None, lesson: str = ""
    ) -> Teaching:
        """Say, for a model's card, that this corpus has taught it.

        Parameters
        ----------
        clips, speakers
            How many of its clips, of how many people, where that is known.
        lesson
            What was learnt, where that was not its labels.
        """
        return Teaching(
            corpus=cut(self.name),
            title=cut(self.title),
            licence=cut(self.licence),
            clips=clips,
            speakers=speakers,
            lesson=cut(lesson),
        )


@dataclass(frozen=True, slots=True)
class Corpus:
    """The clips of a corpus.

    Attributes
    ----------
    info
        Facts about it.
    clips
        All of them, also those with other labels, in the order of their identifiers.
    """

    info: CorpusInfo
    clips: tuple[Clip, ...]

    @property
    def name(self) -> str:
        """Its name in settings and tables."""
        return self.info.name

    @property
    def labelled(self) -> tuple[Clip, ...]:
        """The clips that have a label of the task."""
        return tuple(clip for clip in self.clips if clip.label is not None)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who speaks in it, sorted."""
        return tuple(sorted({clip.speaker for clip in self.clips}))


def entries(folder: Path) -> Iterator[Path]:
    """List a folder sorted by name, without hidden files; nothing if it is not there.

    Hidden files are not clips: archives made on a Mac hold a ``._name`` beside each ``name``.

    Raises
    ------
    CorpusError
        If the folder may not be read.
    """
    try:
        found = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise CorpusError(f"Cannot read the folder {folder}: {error.strerror}.") from error
    return (path for path in found if not path.name.startswith("."))


def audio_files(folder: Path) -> Iterator[Path]:
    """List the audio files directly in a folder, sorted by name."""
    return (path for path in entries(folder) if _is_audio(path))


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def files_at(data: Path, depth: int) -> list[Path]:
    """List the audio files that lie exactly ``depth`` folders below a folder, sorted.

    Hidden folders are not looked into: what was thrown away lies in some (``.Trash-1000``).
    """
    found = (path for path in sorted(data.glob("/".join(["*"] * (depth + 1)))) if _is_audio(path))
    return [path for path in found if not _is_hidden(path.relative_to(data))]


def _is_hidden(below: Path) -> bool:
    return any(part.startswith(".") for part in below.parts)


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """Read a table that comes with a corpus, in UTF-8, its columns named in the first line.

    Cells that a row lacks are empty.

    Raises
    ------
    CorpusError
        If it cannot be read.
    """
    try:
        with TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines, delimiter=delimiter, restval="")
            return [{name: cell for name, cell in row.items() if name} for row in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"{path} is not a table in UTF-8: {error}.", "Take the table as it was published."
        ) from error
    except OSError as error:
        raise CorpusError(f"Cannot read {path}: {error.strerror}.") from error


def not_there(info: CorpusInfo, data: Path, expected: str) -> CorpusError:
    """Say what was expected at a path, and what is there instead.

    Parameters
    ----------
    info
        The corpus that was looked for.
    data
        Where.
    expected
        What is missing, in a few words.
    """
    if data.is_dir():
        names = [path.name + "/" * path.is_dir() for path in entries(data)]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        found = f"it holds {', '.join(names[:SHOWN])}{more}" if names else "it is empty"
    else:
        found = "it is a file" if data.exists() else "there is nothing of that name"
    tree = "\n".join(f"  {line}" for line in info.tree.splitlines())
    return CorpusError(
        f"{data} does not hold {info.title}: expected {expected}, but {found}.",
        f"Expected there:\n{tree}\nTo obtain it: {info.obtain}.",
    )


def titles_of(corpora: Sequence[Corpus]) -> list[str]:
    """Name corpora by their titles; of several with one title, each by its number too."""
    titles = [corpus.info.title for corpus in corpora]
    numbers = [titles[:place].count(title) + 1 for place, title in enumerate(titles)]
    return [
        f"{title} ({number} of {titles.count(title)})" if titles.count(title) > 1 else title
        for title, number in zip(titles, numbers, strict=True)
    ]
