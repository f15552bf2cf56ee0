"""Corpora whose file names carry the labels."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from shared.audio.clip_search import remark
from shared.corpora.corpus import AudioFile, Clip, Corpus, CorpusInfo, files_at, not_there
from shared.corpora.labels import label_of
from shared.task import DEFAULT_TASK, Task


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the name of a file says of its clip; each as in :class:`Clip`."""

    original: str
    speaker: str
    language: str
    text: str = ""


def corpus_of_names(
    info: CorpusInfo,
    data: Path,
    task: Task,
    places: Iterable[Iterable[Path]],
    spoken: Callable[[Path], Spoken | None],
    expected: str,
) -> Corpus:
    """Load a corpus whose file names carry the labels, from all places together.

    A clip that is there more than once counts once, as it is first met: one published copy of
    RAVDESS holds its whole tree twice. A remark names and counts what is passed over.

    Parameters
    ----------
    info
        Facts about the corpus.
    data
        The folder that the user named.
    task
        Whose labels the clips get.
    places
        Where the files may lie, the likeliest first; each gives its files.
    spoken
        What the name of a file says; ``None`` if it is none of the corpus's files.
    expected
        What should be there, for the error.

    Raises
    ------
    CorpusError
        If no place has a clip.
    """
    clips: dict[tuple[str, Spoken], Clip] = {}
    passed_over: defaultdict[str, list[Path]] = defaultdict(list)
    for path in chain.from_iterable(places):
        said = spoken(path)
        if said is None:
            why = f"whose names are not of {info.title}'s speech"
            passed_over[why].append(path.relative_to(data))
        elif (clip := (_own_name(path, said), said)) in clips:
            passed_over["that are copies of others, by their names"].append(path.relative_to(data))
        else:
            clips[clip] = _clip(path, data, said, task)
    if not clips:
        raise not_there(info, data, expected)
    remark(f"Clips in {data} are passed over", passed_over)
    return Corpus(info, tuple(sorted(clips.values(), key=lambda clip: clip.identifier)))


def _own_name(path: Path, said: Spoken) -> str:
    """Give what a clip is called among its speaker's: ``DC/a01`` and ``DC_a01`` are one of SAVEE's.

    Not its format: a copy may be converted.
    """
    return path.stem.removeprefix(f"{said.speaker}_")


def _clip(path: Path, data: Path, facts: Spoken, task: Task) -> Clip:
    return Clip(
        identifier=path.relative_to(data).as_posix(),
        source=AudioFile(path),
        label=label_of(facts.original, task),
        original=facts.original,
        speaker=facts.speaker,
        language=facts.language,
        text=facts.text,
    )


@dataclass(frozen=True, slots=True)
class NamedClips:
    """A corpus that is nothing but clips, whose names and folders say all.

    Attributes
    ----------
    info
        Facts about it.
    spoken
        What the name of a file says; ``None`` if it is none of the corpus's files.
    depths
        How many folders below the user's the clips may lie, the likeliest first: of copies at two
        depths that counts which is met first.
    expected
        What should be there, for the error.
    """

    info: CorpusInfo
    spoken: Callable[[Path], Spoken | None]
    depths: tuple[int, ...]
    expected: str

    def load(self, data: Path, task: Task = DEFAULT_TASK) -> Corpus:
        """Load the clips below a folder, with labels of a task.

        Raises
        ------
        CorpusError
            If there are no such clips.
        """
        places = (files_at(data, depth) for depth in self.depths)
        return corpus_of_names(self.info, data, task, places, self.spoken, self.expected)
