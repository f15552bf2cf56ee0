"""nEMO: Polish emotional speech."""

import re
from functools import partial
from pathlib import Path
from typing import Final

from shared.corpora.corpus import Corpus, CorpusInfo, audio_files, rows
from shared.corpora.named_clips import Spoken, corpus_of_names
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="nemo",
    title="nEMO",
    description=(
        "4481 clips of six emotions (3076 of the four of the default task) by 9 actors, Polish, "
        "ninety sentences, acted (Christop, 2024)."
    ),
    licence="CC BY-NC-SA 4.0",
    obtain="https://huggingface.co/datasets/amu-cai/nEMO",
    tree=(
        "samples/EB0_anger_1.wav\n"
        "...\n"
        "samples/SZ0_surprised_90.wav\n"
        "data.tsv   (what is said; optional)"
    ),
)

# Speaker, emotion, sentence.
_NAME: Final = re.compile(
    r"([A-Z]{2}[0-9])_(anger|fear|happiness|neutral|sadness|surprised)_[0-9]+"
)


def load(data: Path, task: Task = DEFAULT_TASK) -> Corpus:
    """Load the clips.

    Parameters
    ----------
    data
        The folder that holds ``samples``, or that folder itself.
    task
        Whose labels the clips get.

    Raises
    ------
    CorpusError
        If there are no such clips, or their table cannot be read.
    """
    table = data / "data.tsv"
    texts = {
        Path(row.get("file_id", "")).stem: row.get("raw_text", "").strip()
        for row in (rows(table, "\t") if table.is_file() else ())
    }
    places = (audio_files(folder) for folder in (data / "samples", data))
    expected = "a folder samples with clips named like EB0_anger_1.wav"
    return corpus_of_names(INFO, data, task, places, partial(_spoken, texts), expected)


def _spoken(texts: dict[str, str], path: Path) -> Spoken | None:
    match = _NAME.fullmatch(path.stem)
    return Spoken(match[2], match[1], "pl", texts.get(path.stem, "")) if match else None
