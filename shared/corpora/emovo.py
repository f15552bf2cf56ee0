"""EMOVO: an Italian emotional speech corpus."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import CorpusInfo
from shared.corpora.named_clips import NamedClips, Spoken

INFO: Final = CorpusInfo(
    name="emovo",
    title="EMOVO",
    description=(
        "588 clips of seven emotions (336 of the four of the default task) by 6 actors, Italian, "
        "fourteen sentences, acted (Costantini et al., 2014)."
    ),
    licence="free for research, with its paper cited",
    obtain="EMOVO of the Fondazione Ugo Bordoni; the paper (LREC 2014, paper 591) says where",
    tree="f1/dis-f1-b1.wav\n...\nm3/tri-m3-n5.wav",
)

# Emotion (the beginning of its Italian word), actor, sentence.
_NAME: Final = re.compile(r"(dis|gio|neu|pau|rab|sor|tri)-([fm][1-3])-([bdln][1-5])")

_LABELS: Final = {
    "dis": "disgust",
    "gio": "joy",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}

_TEXTS: Final = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
}


def _spoken(path: Path) -> Spoken | None:
    if not (match := _NAME.fullmatch(path.stem)):
        return None
    emotion, actor, sentence = match.groups()
    return Spoken(_LABELS[emotion], actor, "it", _TEXTS.get(sentence, ""))


load: Final = NamedClips(
    INFO, _spoken, (1, 2, 0), "folders f1 to m3 with clips named like dis-f1-b1.wav"
).load
