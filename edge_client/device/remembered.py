"""What the person has said and the store keeps: it tells how they show emotions."""

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from edge_client.device.recognising import Recognising
from edge_client.device.store import ExampleStore
from shared.errors import StorageError
from shared.features.expression import MOST, Kept

if TYPE_CHECKING:
    from shared.frames import Frames


class Remembered:
    """The newest utterances of a store, in memory as long as the store has them.

    All methods may be called from any thread.

    Parameters
    ----------
    store
        What was deleted or discarded there is gone here when it is asked for again.
    recognising
        Says whether the device goes by them.
    """

    def __init__(self, store: ExampleStore, recognising: Recognising) -> None:
        self._store = store
        self._recognising = recognising
        self._lock = threading.Lock()
        self._labels: dict[int, int] = {}
        self._vectors: dict[int, Frames] = {}

    def kept(self) -> Kept | None:
        """Give those that the device has heard itself, the newest last.

        Those in memory are given if the store cannot be read: it will say so when something is to
        be kept.

        Returns
        -------
        Kept or None
            At most :data:`shared.features.expression.MOST`; ``None`` if the device does not go by
            them.
        """
        if not self._recognising.tells_expressions:
            return None
        features = self._store.task.front_end.features
        with self._lock:
            with suppress(StorageError, ValueError):
                self._look()
            vectors = np.array([*self._vectors.values()], np.float32).reshape(-1, 1, features)
            labels = [self._labels[number] for number in self._vectors]
        return Kept(vectors, np.array(labels, np.int32))

    def forget(self) -> None:
        """Forget all."""
        with self._lock:
            self._labels, self._vectors = {}, {}

    def _look(self) -> None:
        labels = self._store.heard(MOST)
        found = {number: self._vectors[number] for number in labels if number in self._vectors}
        for known, frames in self._store.read([number for number in labels if number not in found]):
            if len(frames) == 1 and np.isfinite(frames).all():
                found[known.identifier] = frames
        self._labels = labels
        self._vectors = {number: found[number] for number in labels if number in found}
