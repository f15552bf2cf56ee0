"""CASIA: the Chinese emotional speech corpus of the Chinese Academy of Sciences."""

from pathlib import Path
from typing import Final

from shared.corpora.corpus import CorpusInfo
from shared.corpora.named_clips import NamedClips, Spoken

INFO: Final = CorpusInfo(
    name="casia",
    title="CASIA",
    description=(
        "1200 clips of six emotions (800 of the four of the default task) by 4 speakers, Mandarin, "
        "fifty sentences, acted; the part that is passed on of a corpus of 9600 (CASIA, 2005)."
    ),
    licence="for research, from the Chinese Linguistic Data Consortium",
    obtain="CLDC-SPC-2005-010 of http://www.chineseldc.org",
    tree="liuchanhg/angry/201.wav\n...\nZhaoZuoxiang/surprise/250.wav",
)

_EMOTIONS: Final = frozenset({"angry", "fear", "happy", "neutral", "sad", "surprise"})


def _spoken(path: Path) -> Spoken | None:
    emotion = path.parent.name.lower()
    if emotion not in _EMOTIONS or not path.stem.isdecimal():
        return None
    return Spoken(emotion, path.parent.parent.name, "zh")


load: Final = NamedClips(
    INFO, _spoken, (2, 3), "speakers' folders with folders angry, fear, ... of numbered clips"
).load
