"""ShEMO: the Sharif Emotional Speech Database."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import CorpusInfo
from shared.corpora.named_clips import NamedClips, Spoken

INFO: Final = CorpusInfo(
    name="shemo",
    title="ShEMO",
    description=(
        "3000 utterances of six emotions (2737 of the four of the default task) by 87 speakers, "
        "Persian, from radio plays, labelled by twelve listeners (Mohamad Nezami et al., 2019)."
    ),
    licence="free for academic use",
    obtain="https://github.com/pariajm/sharif-emotional-speech-dataset",
    tree="female/F01A01.wav\n...\nmale/M56W01.wav",
)

# Speaker, emotion, number.
_NAME: Final = re.compile(r"([FM][0-9]{2})([AFHNSW])[0-9]{2,}")

_LABELS: Final = {
    "A": "anger",
    "F": "fear",
    "H": "happiness",
    "N": "neutral",
    "S": "sadness",
    "W": "surprise",
}


def _spoken(path: Path) -> Spoken | None:
    match = _NAME.fullmatch(path.stem)
    return Spoken(_LABELS[match[2]], match[1], "fa") if match else None


load: Final = NamedClips(
    INFO, _spoken, (1, 0, 2), "folders female and male with clips named like F01A01.wav"
).load
