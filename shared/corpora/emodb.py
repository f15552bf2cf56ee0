"""EMO-DB: the Berlin Database of Emotional Speech."""

import re
from pathlib import Path
from typing import Final

from shared.corpora.corpus import Corpus, CorpusInfo, audio_files
from shared.corpora.named_clips import Spoken, corpus_of_names
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="emodb",
    title="EMO-DB",
    description=(
        "535 clips (339 of the four emotions of the default task; also boredom, disgust and fear) "
        "by 10 actors, German, ten sentences, acted "
        "(Burkhardt et al., 2005)."
    ),
    licence="CC0 1.0, as github.com/audeering/emodb publishes it; cite its paper",
    obtain="http://emodb.bilderbar.info (Download)",
    tree="wav/03a01Fa.wav\n...\nwav/16b10Wb.wav\n(or the clips without the folder wav)",
)

# Speaker, text, emotion (the initial of its German word), version.
_NAME: Final = re.compile(r"([0-9]{2})([a-z][0-9]{2})([WLEAFTN])[a-z]?")

_LABELS: Final = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}

_TEXTS: Final = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def load(data: Path, task: Task = DEFAULT_TASK) -> Corpus:
    """Load the clips.

    Parameters
    ----------
    data
        The folder that holds the clips, or the one that holds their folder ``wav``.
    task
        Whose labels the clips get.

    Raises
    ------
    CorpusError
        If there are no such clips.
    """
    places = (audio_files(folder) for folder in (data / "wav", data))
    expected = "clips named like 03a01Fa.wav, or their folder wav"
    return corpus_of_names(INFO, data, task, places, _spoken, expected)


def _spoken(path: Path) -> Spoken | None:
    if not (match := _NAME.fullmatch(path.stem)):
        return None
    speaker, text, letter = match.groups()
    return Spoken(_LABELS[letter], speaker, "de", _TEXTS.get(text, ""))
