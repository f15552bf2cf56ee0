"""From an utterance to its vector, by a time-delay network that knows speech.

The vector is what the network's last hidden layer gives before ReLU. As of an encoder's, the head
that learns of it sees it normalised by what the device has heard.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import Samples
from shared.encoders.encoder import check_digest
from shared.encoders.network import Network, read_network
from shared.encoders.network_graph import SIGNATURE, network_file
from shared.frames import Frames
from shared.front_ends import FrontEnd, front_end_of
from shared.tflite import Session, threads_here

_KEPT: Final = 2
"""Networks kept ready."""


@dataclass(frozen=True, slots=True)
class NetworkFeatures:
    """Computes an utterance's one row with the network of a file."""

    path: Path
    digest: str

    def __call__(self, samples: Samples) -> Frames:
        """Compute it, shape ``(1, units)``; the network is read at the first time."""
        return network_of(self.path, self.digest).vector(samples)[None]


@lru_cache(maxsize=_KEPT)
def network_of(path: Path, digest: str) -> "NetworkEncoding":
    """Read a network and make it ready; the last few stay.

    Raises
    ------
    WeightsError
        If the file is damaged, or not the one of this digest (SHA-256, hexadecimal).
    """
    check_digest(path, digest)
    return NetworkEncoding(read_network(path))


class NetworkEncoding:
    """Computes vectors with one network; several threads may ask at once.

    Parameters
    ----------
    network
        Which.
    threads
        Threads of the runtime; :func:`shared.tflite.threads_here` if not given.

    Raises
    ------
    SettingsError
        If what the network hears through is not here.
    """

    def __init__(self, network: Network, *, threads: int | None = None) -> None:
        self._network = network
        self._front_end: FrontEnd = front_end_of(network.architecture.task.front_end)
        threads = threads or threads_here()
        # Its weights are constants: XNNPACK computes it five times as fast.
        self._session = Session(network_file(network), SIGNATURE, threads, delegates=True)
        self._lock = Lock()

    def vector(self, samples: Samples) -> NDArray[np.float32]:
        """Compute the vector of an utterance.

        Parameters
        ----------
        samples
            Shape ``(samples,)``, float32, 16 kHz.

        Returns
        -------
        numpy.ndarray
            Shape ``(units,)``, float32.

        Raises
        ------
        AudioError
            If there can be no frames of the utterance.
        """
        architecture = self._network.architecture
        frames = self._network.normalise(self._front_end.compute(samples))
        count = max(len(frames), architecture.reach)
        behind = architecture.behind(count)
        with self._lock:
            session = self._session
            session.resize(frames=(1, count, 1, frames.shape[1]), shares=(1, behind))
            heard = session.view("frames")[0, :, 0]
            heard[: len(frames)], heard[len(frames) :] = frames, 0
            session.view("shares")[0] = 1 / behind
            del heard
            session.run()
            vector: NDArray[np.float32] = session.view("vector")[0].copy()
        return vector
