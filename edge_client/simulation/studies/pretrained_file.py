"""What experiments keep of pretraining, and whom a file has heard that they are given."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge_client.simulation.settings import DataSettings, ModelSettings
from edge_client.simulation.studies.pretraining import card_of_lesson
from shared.architectures import Architecture
from shared.command.progress import tracker
from shared.corpora import CORPORA, Clip, Corpus
from shared.encoders.encoder import HEADER_LIMIT
from shared.encoders.network import Network, read_network
from shared.errors import RunError, SettingsError, WeightsError
from shared.front_ends import file_named
from shared.model_notes import ModelNotes, load_notes
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile

if TYPE_CHECKING:
    from rich.console import Console

    from shared.command.progress import Tracker

OTHERS_TAUGHT: Final = "Give a file that others have taught alone, or none."
"""What helps where a file may have heard who is tested."""


def keep_pretrained(
    path: Path,
    architecture: Architecture,
    corpora: Sequence[Corpus],
    lesson: str,
    teach: Callable[["Tracker"], tuple[Network, Sequence[Corpus]]],
    *,
    overwrite: bool,
) -> None:
    """Pretrain a network for an experiment, unless that is done.

    Parameters
    ----------
    path
        Where it is kept.
    architecture
        The network.
    corpora
        Their clips teach it.
    lesson
        What it learns of them, and how long.
    teach
        Makes it; and gives the corpora with the clips alone that could be used.
    overwrite
        Whether to begin anew.

    Raises
    ------
    RunError
        If what is there was taught otherwise or by other clips, or is another network.
    """
    made_from = digest_of_speech(corpora, lesson)
    if path.exists() and not overwrite:
        notes = load_notes(path)
        same = notes.made_from == made_from
        if not notes.made_from:  # versions that knew no digest wrote how many clips there were
            same = notes.card == card_of_lesson(corpora, lesson)
        if not same or read_network(path).architecture != architecture:
            raise RunError(
                f"{path} was pretrained otherwise, or by other clips, than is asked for.",
                "Give another --out, or --overwrite to begin anew.",
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tracker(shown=True) as bar:
        network, taught_by = teach(bar)
    card = card_of_lesson(taught_by, lesson)
    network.write(path, ModelNotes(card=card, made_from=made_from))


def digest_of_speech(corpora: Sequence[Corpus], lesson: str = "") -> str:
    """Give the SHA-256, in hexadecimal, of the sound of all clips, who speaks each, and a lesson.

    Where a clip lies does not matter.
    """
    spoken = [[own.name, clip.speaker, _key(clip)] for own in corpora for clip in own.clips]
    return sha256(json.dumps([lesson, spoken]).encode()).hexdigest()


def _key(clip: Clip) -> str:
    try:
        return clip.content_key()
    except OSError:  # it teaches nothing
        return ""


def check_unheard(path: Path, corpora: Sequence[str], remedy: str) -> None:
    """Refuse a file whose card names a corpus that is tested: it may have heard who is tested."""
    if sentence := _heard(path, corpora):
        raise SettingsError(sentence, remedy)


def check_begins_unheard(settings: DataSettings) -> None:
    """Refuse weights to begin with, and a front end, that may have heard who is tested.

    Raises
    ------
    SettingsError
        If one of these files has a card that names the tested corpus.
    """
    for sentence in said_of_heard(settings):
        raise SettingsError(sentence, OTHERS_TAUGHT)


def check_front_end_unheard(front_end: str, corpora: Sequence[str]) -> None:
    """Do the same for a front end alone; ``corpora`` are tested."""
    if file := file_named(front_end):
        check_unheard(file, corpora, OTHERS_TAUGHT)


def tell_of_heard(settings: Iterable[DataSettings], console: "Console") -> None:
    """Tell, once each, what :func:`said_of_heard` says of some runs."""
    for sentence in dict.fromkeys(said for each in settings for said in said_of_heard(each)):
        console.print(sentence, soft_wrap=True)


def said_of_heard(settings: DataSettings) -> list[str]:
    """Say of each file that a run begins with or hears through if it may have heard who is tested.

    What cannot be read says nothing here: whoever uses it finds that.
    """
    files = [settings.initial] if isinstance(settings, ModelSettings) else []
    files.append(file_named(settings.front_end))
    tested = [CORPORA.get(settings.test_corpus or settings.corpus).info.name]
    found = []
    for path in filter(None, files):
        with suppress(WeightsError):
            found.append(_heard(path, tested))
    return [sentence for sentence in found if sentence]


def _heard(path: Path, corpora: Sequence[str]) -> str:
    """Say that a file's card names one of some corpora; nothing, if it names none."""
    card = card_of(TensorFile(path, header_limit=HEADER_LIMIT).metadata)
    for heard in card.taught_by if card else ():
        if heard.corpus in corpora:
            return f"{path} was taught by {heard.corpus}: it may have heard who is tested."
    return ""
