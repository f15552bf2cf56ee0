"""SAVEE: Surrey Audio-Visual Expressed Emotion."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import CorpusInfo
from shared.corpora.named_clips import NamedClips, Spoken

INFO: Final = CorpusInfo(
    name="savee",
    title="SAVEE",
    description=(
        "480 clips of seven emotions (300 of the four of the default task) by 4 men, British "
        "English, acted (Haq & Jackson, 2009)."
    ),
    licence="free for research, after registration",
    obtain="http://kahlan.eps.surrey.ac.uk/savee/Download.html (AudioData)",
    tree="AudioData/DC/a01.wav\n...\nAudioData/KL/su15.wav\n(or, in one folder, DC_a01.wav)",
)

# Speaker (a folder's name, or before the clip's), emotion, sentence.
_NAME: Final = re.compile(r"(DC|JE|JK|KL)[/_](a|d|f|h|n|sa|su)[0-9]{2}")

_LABELS: Final = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


def _spoken(path: Path) -> Spoken | None:
    match = _NAME.fullmatch(path.stem) or _NAME.fullmatch(f"{path.parent.name}/{path.stem}")
    return Spoken(_LABELS[match[2]], match[1], "en") if match else None


load: Final = NamedClips(
    INFO, _spoken, (0, 1, 2, 3), "folders DC, JE, JK and KL with clips named like a01.wav"
).load
