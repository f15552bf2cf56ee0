"""TESS: the Toronto Emotional Speech Set."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import CorpusInfo
from shared.corpora.named_clips import NamedClips, Spoken

INFO: Final = CorpusInfo(
    name="tess",
    title="TESS",
    description=(
        "2800 clips of seven emotions (1600 of the four of the default task) by two actresses of "
        "26 and 64 years, Canadian English, 'Say the word ...' with 200 words, acted "
        "(Pichora-Fuller & Dupuis, 2020)."
    ),
    licence="CC BY-NC-ND 4.0",
    obtain="https://doi.org/10.5683/SP2/E8H2MF",
    tree=(
        "OAF_angry/OAF_back_angry.wav\n"
        "...\n"
        "YAF_sad/YAF_youth_sad.wav\n"
        "(or the clips without folders)"
    ),
)

# Actress, word, emotion (ps: pleasant surprise); one published name lacks the F of OAF.
_NAME: Final = re.compile(
    r"(O|Y)AF?_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|sad)", re.IGNORECASE
)

_SURPRISE: Final = "pleasant surprise"


def _spoken(path: Path) -> Spoken | None:
    if not (match := _NAME.fullmatch(path.stem)):
        return None
    actress, word, emotion = match.groups()
    original = _SURPRISE if emotion.lower() == "ps" else emotion.lower()
    return Spoken(original, f"{actress.upper()}AF", "en", f"Say the word {word.lower()}.")


load: Final = NamedClips(
    INFO, _spoken, (0, 1, 2), "clips named like OAF_back_angry.wav, or folders of them"
).load
