"""Labelled clips to train on, normalised as a device's own utterances are."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from shared.corpora import Clip
from shared.features.cache import extract_features
from shared.features.labelled_clips import normalised_by_owner
from shared.features.start_file import load_start
from shared.features.statistics import Start
from shared.front_ends import front_end_of
from shared.task import Task
from shared.training import Examples

CACHE: Final = "features"
"""The name of that folder, in the folder of the device's part."""

log = logging.getLogger(__name__)


class OwnClips:
    """The clips of one client.

    Parameters
    ----------
    clips
        All of them have a label of the task.
    task
        What is recognised.
    cache
        The folder that their features are kept in: features are as private as the device's own, so
        it is one that goes when everything is deleted.
    begun
        What statistics begin with; nothing, if not given.
    as_told
        Whether they begin otherwise when that is said.

    Attributes
    ----------
    examples
        What to train on.

    Raises
    ------
    CorpusError
        If none of them can be used.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        task: Task,
        cache: Path,
        begun: Start | None = None,
        *,
        as_told: bool = True,
    ) -> None:
        self._as_told = as_told
        self._task = task
        self._front_end = front_end_of(task.front_end)
        found = extract_features(clips, self._front_end, cache)
        for skipped in found.skipped:
            log.warning("%s is left out: %s", skipped.clip.identifier, skipped.reason)
        self._raw = Examples(found.features, found.frames, found.labels(task))
        self._begun = begun
        self._file = ""
        self.examples = self._normalised(begun)

    def begin(self, file: Path | None) -> None:
        """Normalise them by statistics that begin with what a file holds, if they may.

        Parameters
        ----------
        file
            Named by its digest; ``None`` if the federation says nothing: they begin as at first,
            as they would in a process that has heard of no other.

        Raises
        ------
        WeightsError
            If it cannot be used.
        """
        name = file.name if file else ""
        if self._as_told and name != self._file:
            self.examples = self._normalised(load_start(file, self._task) if file else self._begun)
            self._file = name

    def _normalised(self, begun: Start | None) -> Examples:
        """Normalise by the statistics of all of them, as a device's own are."""
        owners = np.repeat("this device", len(self._raw))
        return normalised_by_owner(self._raw, owners, self._front_end, begun=begun)
