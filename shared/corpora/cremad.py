"""CREMA-D: the Crowd-sourced Emotional Multimodal Actors Dataset."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import Corpus, CorpusInfo, audio_files
from shared.corpora.named_clips import Spoken, corpus_of_names
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="cremad",
    title="CREMA-D",
    description=(
        "7442 clips (4900 of the four emotions of the default task; also disgust and fear) by 91 "
        "actors, English, twelve sentences, acted; "
        "labels are those the actors aimed at (Cao et al., 2014)."
    ),
    licence="Open Database License 1.0",
    obtain="https://github.com/CheyneyComputerScience/CREMA-D (needs git-lfs: git lfs pull)",
    tree="AudioWAV/1001_DFA_ANG_XX.wav\n...\nAudioWAV/1091_WSI_SAD_XX.wav",
)

# Actor, sentence, emotion, level (XX: unspecified; one published name has a single X).
_NAME: Final = re.compile(r"([0-9]{4})_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_[A-Z]{1,2}")

_TEXTS: Final = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


def load(data: Path, task: Task = DEFAULT_TASK) -> Corpus:
    """Load the clips.

    Parameters
    ----------
    data
        The folder that holds ``AudioWAV``, or that folder itself.
    task
        Whose labels the clips get.

    Raises
    ------
    CorpusError
        If there are no such clips.
    """
    places = (audio_files(folder) for folder in (data / "AudioWAV", data))
    expected = "a folder AudioWAV with clips named like 1001_DFA_ANG_XX.wav"
    return corpus_of_names(INFO, data, task, places, _spoken, expected)


def _spoken(path: Path) -> Spoken | None:
    if not (match := _NAME.fullmatch(path.stem)):
        return None
    speaker, text, original = match.groups()
    return Spoken(original, speaker, "en", _TEXTS.get(text, ""))
