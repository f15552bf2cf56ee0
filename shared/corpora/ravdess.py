"""RAVDESS: the Ryerson Audio-Visual Database of Emotional Speech and Song."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import AudioFile, Clip, Corpus, CorpusInfo, audio_files, corpus_of_names
from shared.emotions import Emotion

INFO: Final = CorpusInfo(
    name="ravdess",
    title="RAVDESS",
    description=(
        "1440 spoken clips (672 of our four emotions) by 24 actors, North American English, "
        "two sentences, acted (Livingstone & Russo, 2018)."
    ),
    licence="CC BY-NC-SA 4.0",
    obtain="Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976",
    tree="Actor_01/03-01-05-01-01-01-01.wav\n...\nActor_24/03-01-08-02-02-02-24.wav",
)

# Modality (03: sound only), channel (01: speech), emotion, intensity, statement, repetition, actor.
_NAME: Final = re.compile(r"03-01-(0[1-8])-0[12]-(0[12])-0[12]-([0-9]{2})")

_EMOTIONS: Final[dict[str, tuple[str, Emotion | None]]] = {
    "01": ("neutral", "neutral"),
    "02": ("calm", None),
    "03": ("happy", "happy"),
    "04": ("sad", "sad"),
    "05": ("angry", "angry"),
    "06": ("fearful", None),
    "07": ("disgust", None),
    "08": ("surprised", None),
}

_TEXTS: Final = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}


def load(data: Path) -> Corpus:
    """Load the spoken clips; songs and videos beside them are passed over.

    Parameters
    ----------
    data
        The folder that holds ``Actor_01`` to ``Actor_24``, or the one above it.

    Raises
    ------
    CorpusError
        If there are no such clips.
    """
    # The first place with clips counts: one published copy holds the whole tree twice.
    folders = (data, data / "Audio_Speech_Actors_01-24", data / "audio_speech_actors_01-24")
    places = (
        [path for actor in sorted(folder.glob("Actor_*")) for path in audio_files(actor)]
        for folder in folders
    )
    expected = "folders Actor_01 to Actor_24 with clips 03-01-*"
    return corpus_of_names(INFO, data, places, _NAME, _clip, expected)


def _clip(path: Path, data: Path, match: re.Match[str]) -> Clip:
    code, statement, actor = match.groups()
    original, emotion = _EMOTIONS[code]
    return Clip(
        identifier=path.relative_to(data).as_posix(),
        source=AudioFile(path),
        emotion=emotion,
        original=original,
        speaker=f"Actor_{actor}",
        language="en",
        text=_TEXTS[statement],
    )
