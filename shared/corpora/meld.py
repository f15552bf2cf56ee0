"""MELD: the Multimodal EmotionLines Dataset, conversations of a television series."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.corpora.corpus import (
    AudioFile,
    Clip,
    Corpus,
    CorpusInfo,
    audio_files,
    not_there,
    rows,
)
from shared.corpora.labels import label_of
from shared.errors import CorpusError
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="meld",
    title="MELD",
    description=(
        "13708 utterances of seven emotions (11353 of the four of the default task) by the "
        "characters of the series Friends, English, in conversation, labelled by viewers "
        "(Poria et al., 2019)."
    ),
    licence="labels GPL-3.0; the sound is that of the series",
    obtain="https://affective-meld.github.io (MELD.Raw.tar.gz; its films need ffmpeg)",
    tree=(
        "train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv\n"
        "train_splits/dia0_utt0.mp4\n"
        "dev_splits_complete/dia0_utt0.mp4\n"
        "output_repeated_splits_test/dia0_utt0.mp4\n"
        "(or each within a folder train, dev or test; also as WAV, FLAC, ...)"
    ),
)

_SPLITS: Final = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}

# The test's folder holds some films again under a longer name: those are the corrected ones.
_NAME: Final = re.compile(r"(final_videos_test)?(dia[0-9]+_utt[0-9]+)")

_COLUMNS: Final = ("Dialogue_ID", "Utterance_ID", "Emotion", "Speaker")


def load(data: Path, task: Task = DEFAULT_TASK) -> Corpus:
    """Load the utterances of all splits that are there.

    Parameters
    ----------
    data
        The folder that holds the tables and the folders of the splits, or the one that holds
        ``MELD.Raw``. Of each split the first counts that is there.
    task
        Whose labels the clips get.

    Raises
    ------
    CorpusError
        If there are no such utterances, or a table cannot be read.
    """
    clips: list[Clip] = []
    for split in _SPLITS:
        places = (_split(folder, split, data, task) for folder in (data, data / "MELD.Raw"))
        clips += next(filter(None, map(list, places)), [])
    if clips:
        return Corpus(INFO, tuple(sorted(clips, key=lambda clip: clip.identifier)))
    raise not_there(INFO, data, "tables like train_sent_emo.csv with a folder of films for each")


def _split(folder: Path, split: str, data: Path, task: Task) -> Iterator[Clip]:
    places = (folder, folder / split)
    tables = [place / f"{split}_sent_emo.csv" for place in places]
    films = [place / _SPLITS[split] for place in places]
    table = next((path for path in tables if path.is_file()), None)
    film = next((path for path in films if path.is_dir()), None)
    if table is None or film is None:
        return
    paths = _films(film)
    for line, row in enumerate(rows(table), 2):
        if not all(row.get(name) for name in _COLUMNS):
            raise CorpusError(
                f"{table}, row {line}: it should have {', '.join(_COLUMNS)}.",
                "Take the table as it was published.",
            )
        name = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
        path = paths.get(name, film / f"{name}.mp4")
        yield Clip(
            identifier=path.relative_to(data).as_posix(),
            source=AudioFile(path),
            label=label_of(row["Emotion"], task),
            original=row["Emotion"],
            speaker=row["Speaker"].strip(),
            language="en",
            text=row.get("Utterance", ""),
        )


def _films(folder: Path) -> dict[str, Path]:
    """Find the film of each utterance, the corrected one where there are two."""
    found: dict[str, Path] = {}
    matches = ((path, _NAME.fullmatch(path.stem)) for path in audio_files(folder))
    for path, match in matches:
        if match and (match[1] or match[2] not in found):
            found[match[2]] = path
    return found
