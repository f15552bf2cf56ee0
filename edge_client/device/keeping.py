"""Where an utterance goes that was heard: into the store if that can be, else into memory alone."""

from dataclasses import replace
from typing import Any

from edge_client.device.latest import Latest
from edge_client.device.reports import Reports
from edge_client.device.settings import DeviceSettings
from edge_client.device.store import ExampleStore
from edge_client.device.stored_utterance import StoredUtterance
from shared.audio import Samples
from shared.errors import StorageError
from shared.frames import Frames


class Keeping:
    """Keeps utterances; for one thread at a time.

    Parameters
    ----------
    store
        Takes utterances, and the running statistics after each.
    latest
        Takes their sound, and those that could not be kept.
    reports
        Is told why one could not be kept.
    settings
        Say whether sound is kept, too.
    """

    def __init__(
        self, store: ExampleStore, latest: Latest, reports: Reports, settings: DeviceSettings
    ) -> None:
        self._store = store
        self._latest = latest
        self._reports = reports
        self._keeps_audio = settings.keep_audio

    def keep(
        self, heard: StoredUtterance, frames: Frames, samples: Samples, statistics: dict[str, Any]
    ) -> StoredUtterance:
        """Put an utterance into the store, if that can be.

        Parameters
        ----------
        heard
            What is known of it.
        frames
            Shape ``(n, features)``, float32, not normalised.
        samples
            Its sound.
        statistics
            The device's running statistics after it.

        Returns
        -------
        StoredUtterance
            With its number; a negative one if it could not be kept.
        """
        try:
            number = self._store.add(heard, frames, statistics=statistics)
        except StorageError as error:
            self._reports.note("store", error.message)
            return self._latest.unkept(heard)
        self._latest.kept(number, samples)
        try:
            if self._keeps_audio:
                self._store.keep_sound(number, samples)
            self._reports.note("store", None)
        except StorageError as error:
            self._reports.note("store", error.message)
        return replace(heard, identifier=number)
