"""ESD: the Emotional Speech Dataset, Mandarin and English."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import CorpusInfo
from shared.corpora.named_clips import NamedClips, Spoken

INFO: Final = CorpusInfo(
    name="esd",
    title="ESD",
    description=(
        "35000 clips of five emotions (28000 of the four of the default task), 350 of each by each "
        "of 20 speakers, ten Mandarin (0001 to 0010) and ten English, acted "
        "(Zhou et al., 2022)."
    ),
    licence="for research, after signing its licence",
    obtain="https://github.com/HLTSingapore/Emotional-Speech-Data",
    tree=(
        "0001/Angry/0001_000351.wav\n"
        "...\n"
        "0020/Surprise/0020_001750.wav\n"
        "(or with folders train, test and evaluation in each emotion's)"
    ),
)

_NAME: Final = re.compile(r"(00[0-9]{2})_[0-9]{6}")
_EMOTIONS: Final = frozenset({"Angry", "Happy", "Neutral", "Sad", "Surprise"})
_FIRST_ENGLISH: Final = "0011"


def _spoken(path: Path) -> Spoken | None:
    emotion = next((above.name for above in path.parents[:2] if above.name in _EMOTIONS), None)
    if emotion is None or not (match := _NAME.fullmatch(path.stem)):
        return None
    speaker = match[1]
    return Spoken(emotion, speaker, "en" if speaker >= _FIRST_ENGLISH else "zh")


load: Final = NamedClips(
    INFO, _spoken, (2, 3, 4), "folders 0001 to 0020 with an emotion's folders in them"
).load
