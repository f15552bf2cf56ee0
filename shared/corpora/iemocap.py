"""IEMOCAP: the Interactive Emotional Dyadic Motion Capture database, the paper's corpus."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final, Literal, get_args

from shared.audio.clip_search import remark
from shared.corpora.corpus import AudioFile, Clip, Corpus, CorpusInfo, entries, not_there
from shared.corpora.labels import label_of
from shared.corpora.motion import MotionFiles
from shared.errors import CorpusError, SettingsError
from shared.storage.files import open_file
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="iemocap",
    title="IEMOCAP",
    description=(
        "10039 utterances (5531 of the four emotions of the default task) by 10 actors in 5 "
        "sessions of two, English, scripted and improvised dialogue, labelled by listeners "
        "(Busso et al., 2008)."
    ),
    licence="for research, after signing the release form of USC SAIL",
    obtain="ask for it at https://sail.usc.edu/iemocap/iemocap_release.htm",
    tree=(
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt\n"
        "Session1/dialog/transcriptions/Ses01F_impro01.txt   (optional)\n"
        "Session1/dialog/MOCAP_rotated/Ses01F_impro01.txt    (optional, as MOCAP_hand\n"
        "                                                     and MOCAP_head)\n"
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav\n"
        "...\n"
        "Session5/..."
    ),
)

Happy = Literal["both", "excited", "happiness"]
"""Which of IEMOCAP's labels count as happy: ``exc``, ``hap`` or both."""

_HAPPY: Final[dict[str, frozenset[str]]] = {
    "both": frozenset({"exc", "hap"}),
    "excited": frozenset({"exc"}),
    "happiness": frozenset({"hap"}),
}

# [start - end] in seconds, dialogue_utterance, label; valence, activation, dominance follow.
_LABEL: Final = re.compile(
    r"\[([0-9.]+) - ([0-9.]+)\]\s+((Ses[0-9]{2})[FM]_\w+)_(([FM])\w*[0-9]+)\s+([a-z]{3})\b"
)
_MOTION: Final = ("MOCAP_rotated", "MOCAP_hand", "MOCAP_head")
"""Folders of the motion of face, hands and head: 165, 18 and 6 columns."""

_TRANSCRIPT: Final = re.compile(r"(\w+) \[[0-9. -]+\]: ?(.*)")


def load(data: Path, task: Task = DEFAULT_TASK, *, happy: Happy = "both") -> Corpus:
    """Load the utterances as the listeners' majority labelled them.

    Parameters
    ----------
    data
        The folder that holds ``Session1`` to ``Session5``, or the one that holds
        ``IEMOCAP_full_release``. Of each session the first counts that is there.
    task
        Whose labels the clips get.
    happy
        Which of its labels count as happy; ``exc`` does not where the task has a label for it.

    Raises
    ------
    CorpusError
        If there are no such utterances.
    SettingsError
        If ``happy`` is none of its three words.
    """
    if happy not in _HAPPY:
        raise SettingsError(f"happy should be one of {', '.join(get_args(Happy))}, is {happy!r}.")
    clips: dict[str, list[Clip]] = {}
    for folder in (data, data / "IEMOCAP_full_release"):
        for session in sorted(folder.glob("Session[1-5]")):
            if not clips.get(session.name):
                clips[session.name] = list(_session(session, data, task, _HAPPY[happy]))
    found = sorted(chain.from_iterable(clips.values()), key=lambda clip: clip.identifier)
    if found:
        return Corpus(INFO, tuple(found))
    raise not_there(INFO, data, "folders Session1 to Session5 with labels and sentences")


def _session(session: Path, data: Path, task: Task, happy: frozenset[str]) -> Iterator[Clip]:
    sentences = session / "sentences" / "wav"
    if not sentences.is_dir():
        raise not_there(INFO, data, f"a folder {sentences.relative_to(data)}")
    texts = _texts(session / "dialog" / "transcriptions")
    for sheet in entries(session / "dialog" / "EmoEvaluation"):
        if sheet.suffix != ".txt":
            continue
        captured = _captured(session / "dialog", sheet.stem)
        for match in map(_LABEL.match, _lines(sheet)):
            if match is None:
                continue
            start, end, dialogue, number, utterance, gender, original = match.groups()
            identifier = f"{dialogue}_{utterance}"
            path = sentences / dialogue / f"{identifier}.wav"
            yield Clip(
                identifier=path.relative_to(data).as_posix(),
                source=AudioFile(path),
                label=_label(original, task, happy),
                original=original,
                speaker=number + gender,
                language="en",
                text=texts.get(identifier, ""),
                motion=MotionFiles(captured, float(start), float(end)) if captured else None,
            )


def _label(original: str, task: Task, happy: frozenset[str]) -> str | None:
    """Find the task's label for one of IEMOCAP's."""
    if original in _HAPPY["both"]:
        own = label_of(original, task) if original == "exc" else None
        return own or (label_of("happy", task) if original in happy else None)
    return label_of(original, task)


def _texts(folder: Path) -> dict[str, str]:
    """Read what is said in each utterance, where the release's transcriptions are there."""
    sheets = (path for path in entries(folder) if path.suffix == ".txt")
    matches = (_TRANSCRIPT.match(line) for sheet in sheets for line in _lines(sheet))
    return {match[1]: match[2].strip() for match in matches if match}


def _captured(folder: Path, dialogue: str) -> tuple[Path, ...]:
    """Find the files of a dialogue's motion: of face, hands and head, or none of them.

    One of two actors wears the markers in a dialogue: what the other says has the listener's
    motion, as in Tripathi et al. (2018). A dialogue whose sound comes in two parts, a and b, has
    its motion in one file.
    """
    for name in (dialogue, dialogue.rstrip("ab")):
        paths = tuple(folder / part / f"{name}.txt" for part in _MOTION)
        missing = [path for path in paths if not path.is_file()]
        if not missing:
            return paths
        if len(missing) < len(paths):
            remark("Motion is left out", {f"as {missing[0]} is missing": [dialogue]})
            break
    return ()


def _lines(path: Path) -> list[str]:
    try:
        # A few sheets hold single bytes outside ASCII, in no stated encoding.
        with open_file(path) as file:
            return file.read().decode("latin-1").splitlines()
    except OSError as error:
        raise CorpusError(f"Cannot read {path}: {error.strerror}.") from error
