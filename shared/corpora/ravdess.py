"""RAVDESS: the Ryerson Audio-Visual Database of Emotional Speech and Song."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import Corpus, CorpusInfo, audio_files, entries
from shared.corpora.named_clips import Spoken, corpus_of_names
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="ravdess",
    title="RAVDESS",
    description=(
        "1440 spoken clips of eight emotions (672 of the four of the default task) by 24 actors, "
        "North American English, two sentences, acted (Livingstone & Russo, 2018)."
    ),
    licence="CC BY-NC-SA 4.0",
    obtain="Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976",
    tree="Actor_01/03-01-05-01-01-01-01.wav\n...\nActor_24/03-01-08-02-02-02-24.wav",
)

# Modality (03: sound only), channel (01: speech), emotion, intensity, statement, repetition, actor.
_NAME: Final = re.compile(r"03-01-(0[1-8])-0[12]-(0[12])-0[12]-([0-9]{2})")

_LABELS: Final = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}

_ABOVE: Final = "audio_speech_actors_01-24"
"""The folder of the actors' as some copies have it, in small letters."""

_TEXTS: Final = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}


def load(data: Path, task: Task = DEFAULT_TASK) -> Corpus:
    """Load the spoken clips; songs and videos beside them are passed over.

    Parameters
    ----------
    data
        The folder that holds ``Actor_01`` to ``Actor_24``, or the one above it.
    task
        Whose labels the clips get.

    Raises
    ------
    CorpusError
        If there are no such clips.
    """
    # Folders as they are called: where capital letters do not count, each is there once.
    below = (folder for folder in entries(data) if folder.name.lower() == _ABOVE)
    places = (
        [path for actor in sorted(folder.glob("Actor_*")) for path in audio_files(actor)]
        for folder in (data, *below)
    )
    expected = "folders Actor_01 to Actor_24 with clips 03-01-*"
    return corpus_of_names(INFO, data, task, places, _spoken, expected)


def _spoken(path: Path) -> Spoken | None:
    if not (match := _NAME.fullmatch(path.stem)):
        return None
    code, statement, actor = match.groups()
    return Spoken(_LABELS[code], f"Actor_{actor}", "en", _TEXTS[statement])
