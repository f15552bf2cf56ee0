"""What a corpus is: clips with labels, and the facts a person needs to obtain it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from shared.audio import SUFFIXES, Samples, read_clip
from shared.clip_search import remark
from shared.errors import CorpusError
from shared.storage.files import sha256_of

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
        """Compute the SHA-256 of the file's bytes, in hexadecimal.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        return sha256_of(self.path)


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
    """

    identifier: str
    source: ClipSource
    label: str | None
    original: str
    speaker: str
    language: str = ""
    text: str = ""

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
    return (path for path in entries(folder) if path.suffix.lower() in SUFFIXES)


def corpus_of_names(
    info: CorpusInfo,
    data: Path,
    places: Iterable[Iterable[Path]],
    name: re.Pattern[str],
    clip: Callable[[Path, Path, re.Match[str]], Clip],
    expected: str,
) -> Corpus:
    """Load a corpus whose file names carry the labels, from the first place that has such files.

    Parameters
    ----------
    info
        Facts about the corpus.
    data
        The folder that the user named.
    places
        Where the files may lie, the likeliest first; each gives its files.
    name
        What the name of a clip, without its suffix, must match.
    clip
        Makes a clip of a file, the user's folder, and the match.
    expected
        What should be there, for the error.

    Raises
    ------
    CorpusError
        If no place has a clip.
    """
    for place in places:
        paths = {path: name.fullmatch(path.stem) for path in place}
        clips = tuple(clip(path, data, match) for path, match in paths.items() if match)
        if clips:
            other = [path.relative_to(data) for path, match in paths.items() if not match]
            named = {f"whose names are not of {info.title}'s speech": other} if other else {}
            remark(f"Clips in {data} are passed over", named)
            return Corpus(info, clips)
    raise not_there(info, data, expected)


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
