"""Who is attacked: the speakers of a corpus, each as the owner of a device."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.learning.training import Engine
from edge_client.simulation.first_weights import first_weights
from edge_client.simulation.given_files import digests_of_files
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.studies.attacks.defences import NONE, Noise
from edge_client.simulation.studies.attacks.settings import LeakageSettings
from edge_client.simulation.studies.experiments import Collect, settings_of_cell
from edge_client.simulation.utterances import Utterances
from shared.encoders.encoder import file_digest
from shared.errors import SettingsError
from shared.features.labelled_clips import normalised_by_owner
from shared.features.voice_file import load_voice
from shared.front_ends import front_end_of
from shared.starter import beside
from shared.training import Examples

CHANCE: Final = "guessing"
"""The row of what guessing gains."""

Row = dict[str, float | None]
"""What one defence leaves of each attack, by the attack's name."""

Track = Callable[[Iterable[Any], int], Iterable[Any]]
"""Shows how far some work is; given the work's steps, and how many they are."""

_FIXED: Final[dict[str, Any]] = {
    "attack": "none",
    "baseline": False,
    "codec": NONE.codec,
    "dp_epsilon": None,
    "secure": False,
}
"""What the study varies itself."""


def plan_leakage(collect: Collect) -> LeakageSettings:
    """Complete the settings of the study.

    Raises
    ------
    SettingsError
        If one contradicts it.
    """
    settings = settings_of_cell(collect, {"folds": 3, "threads": 1}, _FIXED)
    return LeakageSettings.parse(settings.model_dump())


@dataclass(frozen=True)
class Victims:
    """Those whose updates are attacked.

    Attributes
    ----------
    settings
        How they train.
    utterances
        All of the corpus.
    engine
        What trains.
    """

    settings: LeakageSettings
    utterances: Utterances
    engine: Engine

    def __post_init__(self) -> None:
        """Raise :class:`SettingsError` if there are too few speakers."""
        if len(self.names) < 2 * self.settings.folds:
            raise SettingsError(
                f"{len(self.names)} speakers are too few to attack in {self.settings.folds} "
                "groups: each needs two, and others to learn from.",
                "Give fewer --folds (2 at least), or a larger corpus.",
            )

    @cached_property
    def names(self) -> NDArray[np.str_]:
        """The speakers, each once."""
        return np.unique(self.utterances.speakers)

    @cached_property
    def speakers(self) -> NDArray[np.int64]:
        """Whose each utterance is: places among :attr:`names`."""
        return np.searchsorted(self.names, self.utterances.speakers)

    @cached_property
    def groups(self) -> list[NDArray[np.int64]]:
        """Speakers who are attacked by what was learned from all others."""
        return np.array_split(np.arange(len(self.names)), self.settings.folds)

    @cached_property
    def examples(self) -> Examples:
        """All utterances, normalised.

        As devices have it that begin with the weights of a file: their statistics begin with the
        voice model beside it, if there is one.
        """
        front_end = front_end_of(self.settings.task.front_end)
        if self._voice:
            begun = load_voice(self._voice, self.settings.task)
            owners = self.utterances.speakers
            return normalised_by_owner(self.utterances.examples, owners, front_end, begun=begun)
        everywhere = np.arange(len(self.speakers))
        return normalise(self.utterances, everywhere, self.settings.normalisation, front_end)

    @property
    def begin_with(self) -> dict[str, str]:
        """Digests of the files that devices begin with, by what each is."""
        # Also where there is none, so that one that comes or goes is noticed.
        voice = file_digest(self._voice) if self._voice else ""
        return {**digests_of_files(self.settings), "voice model": voice}

    @property
    def _voice(self) -> Path | None:
        """The voice model beside the weights, if there is one and the statistics begin with it."""
        if self.settings.initial is None or self.settings.normalisation != "voice":
            return None
        path = beside(self.settings.initial, "voice")
        return path if path.exists() else None

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """The round's global weights."""
        return first_weights(self.settings, self.engine.architecture)

    def noise(self, clip_norm: float) -> Noise:
        """Set up differential privacy for updates of this norm."""
        return Noise(self.settings.clip_norm or clip_norm, self.settings.dp_delta)
