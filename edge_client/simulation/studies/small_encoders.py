"""Small encoders of an experiment across languages: each has heard nobody of one language.

A ``tdnn13`` learns what the encoder makes of the languages that are not tested, whatever the labels
of their clips (:mod:`~edge_client.simulation.studies.distillation`). Frozen, it takes the encoder's
place when the language is tested that it has not heard.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge_client.simulation.given_files import digests_of_files
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.studies.distillation import Speech, distil, encoded
from edge_client.simulation.studies.language_settings import CellSettings, TransferSettings
from edge_client.simulation.studies.languages import (
    Language,
    Languages,
    languages_named,
    load_languages,
)
from edge_client.simulation.studies.pretrained_file import (
    OTHERS_TAUGHT,
    check_unheard,
    digest_of_speech,
    keep_pretrained,
)
from edge_client.simulation.studies.pretraining import Course
from edge_client.simulation.studies.transfer_study import Transfer
from shared.architectures import architecture_of
from shared.corpora import Corpus, load_speech
from shared.encoders.network import Network
from shared.errors import SettingsError, WeightsError
from shared.front_ends import (
    ENCODER_SUFFIX,
    MFCC40,
    EncoderFeatures,
    file_named,
    front_end_named,
)
from shared.model_notes import load_notes
from shared.task import Task

if TYPE_CHECKING:
    from rich.console import Console

    from shared.command.progress import Tracker

_MODEL: Final = "tdnn13"
"""The network; it hears through ``mfcc40``."""


class SmallEncoders:
    """Distils networks of the languages that are not tested.

    Parameters
    ----------
    settings
        Of the experiment; its front end is what the networks learn to tell.
    languages
        Those that are tested in turn.
    folder
        Where the networks are kept, with their cards.
    overwrite
        Whether to distil those anew that are there.
    """

    def __init__(
        self,
        settings: TransferSettings,
        languages: Sequence[Language],
        folder: Path,
        *,
        overwrite: bool,
    ) -> None:
        self._settings, self._languages = settings, languages
        self._folder, self._overwrite = folder, overwrite
        self._encoder = front_end_named(settings.front_end)
        self._architecture = architecture_of(_MODEL, Task(settings.task.labels, MFCC40))
        self._speech: dict[str, Speech] = {}

    def file(self, tested: str, seed: int) -> Path:
        """Give the network that has heard nobody of a language; distil it, if that is not done.

        Raises
        ------
        RunError
            If what is there was taught otherwise.
        ChorusError
            If the speech cannot be read, or nothing can be learnt of it.
        """
        path = self._folder / f"without-{tested}-seed-{seed}{ENCODER_SUFFIX}"
        task = self._architecture.task
        others = [own for own in self._languages if own.name != tested]
        corpora = {own.name: load_speech(own.corpus, own.data, task) for own in others}
        course = Course(self._settings.pretraining_epochs, seed=seed)

        def teach(bar: "Tracker") -> tuple[Network, list[Corpus]]:
            for name, corpus in corpora.items():
                if name not in self._speech:
                    (own,) = encoded([corpus], self._architecture, self._encoder, bar)
                    self._speech[name] = own
            heard = [self._speech[name] for name in corpora]
            network = distil(heard, self._architecture, course, bar)
            return network, [own.corpus for own in heard]

        lesson = f"distilled from {self._encoder.shape.name} {course}"
        keep_pretrained(
            path,
            self._architecture,
            list(corpora.values()),
            lesson,
            teach,
            overwrite=self._overwrite,
        )
        return path

    @property
    def speech(self) -> str:
        """Digest of all speech that networks are taught by, also of what has no label."""
        task = self._architecture.task
        return digest_of_speech([load_speech(o.corpus, o.data, task) for o in self._languages])


def check_files(settings: TransferSettings, languages: Sequence[Language]) -> None:
    """Refuse files by which the experiment cannot be done, before anything is computed.

    Raises
    ------
    SettingsError
        If the front end's file, or the weights to begin with, have heard a language, as all are
        tested; or if small encoders are asked for, and the front end is no speech encoder.
    """
    front_end, tested = settings.front_end, [own.corpus for own in languages]
    if settings.initial:
        check_unheard(settings.initial, tested, OTHERS_TAUGHT)
    if settings.pretraining_epochs:
        if not isinstance(front_end_named(front_end).frame_features, EncoderFeatures):
            raise SettingsError(
                f"{front_end} is no speech encoder, of which a network could learn.",
                "Give --front-end whisper-speech, or leave out --pretraining-epochs.",
            )
    elif file := file_named(front_end):
        check_unheard(
            file,
            tested,
            "Give --pretraining-epochs instead: for each language one is made of the others.",
        )


class Transfers:
    """Makes the results of an experiment, each heard through what has not heard who is tested.

    That is the front end, or in its place a small encoder for each tested language and seed.

    Parameters
    ----------
    settings
        What all results have in common.
    languages
        Who speaks.
    out
        Folder of the experiment: small encoders are kept in ``pretrained``.
    console
        Where clips that cannot be used are named.
    overwrite
        Whether to make small encoders, and the model, anew.
    """

    def __init__(
        self,
        settings: TransferSettings,
        languages: Languages,
        out: Path,
        console: "Console",
        *,
        overwrite: bool,
    ) -> None:
        self._settings, self._languages, self._console = settings, languages, console
        self._overwrite = overwrite
        self._named = languages_named(settings.corpus)
        self._encoders = None
        if settings.pretraining_epochs:
            place = out / "pretrained"
            self._encoders = SmallEncoders(settings, self._named, place, overwrite=overwrite)
        self._made: dict[tuple[str, int], Transfer] = {}

    def result(self, cell: CellSettings) -> dict[str, Any]:
        """Make one result; see :meth:`Transfer.result`."""
        return self._heard(cell.tested, cell.seed).result(cell)

    @cached_property
    def given(self) -> dict[str, str]:
        """Digests of what determines all results beside the clips that are tested, by a name."""
        files = digests_of_files(self._settings.simulation())
        return {**files, "speech": self._encoders.speech} if self._encoders else files

    def keep_model(self, folder: RunFolder) -> None:
        """Write a model that all languages have taught, with its card, unless it is there.

        Of small encoders it hears through the one that has not heard the first language.
        """
        seed = self._settings.seed
        # What else determines it is compared where the results are.
        determined = [seed, self._languages.whole.digest, self.given]
        made_from = sha256(json.dumps(determined).encode()).hexdigest()
        if self._overwrite or not self._has_model(folder, made_from):
            self._heard(self._languages.names[0], seed).write_model(folder, made_from)

    def _has_model(self, folder: RunFolder, made_from: str) -> bool:
        """Whether a folder holds the model, and the voice model that belongs to it."""
        voiceless = self._settings.normalisation == "voice" and not folder.voice.exists()
        if voiceless or not folder.model.exists():
            return False
        with suppress(WeightsError):  # a damaged one is made again
            return load_notes(folder.model).made_from == made_from
        return False

    def _heard(self, tested: str, seed: int) -> Transfer:
        """Give what teaches and tests through what has not heard a language."""
        key = (tested, seed) if self._encoders else ("", 0)
        if key not in self._made:
            settings, languages = self._settings, self._languages
            if self._encoders:
                file = str(self._encoders.file(tested, seed))
                settings = settings.model_copy(update={"front_end": file})
                languages = load_languages(self._named, settings.simulation(), self._console)
            self._made[key] = Transfer(settings, languages)
        return self._made[key]
