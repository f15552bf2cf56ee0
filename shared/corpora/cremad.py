"""CREMA-D: the Crowd-sourced Emotional Multimodal Actors Dataset."""

import re
from functools import partial
from pathlib import Path
from typing import Final

from shared.corpora.corpus import AudioFile, Clip, Corpus, CorpusInfo, audio_files, corpus_of_names
from shared.corpora.labels import label_of
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

_LABELS: Final = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}

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
    return corpus_of_names(INFO, data, places, _NAME, partial(_clip, task), expected)


def _clip(task: Task, path: Path, data: Path, match: re.Match[str]) -> Clip:
    speaker, text, original = match.groups()
    return Clip(
        identifier=path.relative_to(data).as_posix(),
        source=AudioFile(path),
        label=label_of(_LABELS[original], task),
        original=original,
        speaker=speaker,
        language="en",
        text=_TEXTS.get(text, ""),
    )
