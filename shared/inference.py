"""Recognition of single utterances with a TFLite runtime."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import TrainingError
from shared.graphs.files import graph_file
from shared.lengths import model_length, padded, shares
from shared.tflite import Session, across, physical_cores
from shared.weights import Weights, check_weights, split

_LENGTHS: Final = 4
"""Padded lengths for which graphs are kept, each with a copy of the weights."""


class Inference:
    """Computes the logits of one utterance at a time.

    It runs the runtime's own kernels, which read each weight once for a single utterance, from
    where the weights lie: there is nothing to prepare but a copy.

    Parameters
    ----------
    architecture
        Which model.
    weights
        Shape ``(parameters,)``; they are copied.
    threads
        Threads of the runtime; the physical cores if not given.

    Raises
    ------
    WeightsError
        If the weights do not belong to the architecture or are not finite.
    """

    def __init__(
        self, architecture: Architecture, weights: Weights, *, threads: int | None = None
    ) -> None:
        self.architecture = architecture
        self._threads = threads or physical_cores()
        self._sessions: dict[int, Session] = {}
        """By padded length, the last used last; never empty from here on."""
        check_weights(weights, architecture)
        self._session(model_length(architecture, np.ones(1, np.int32)))
        self.use(weights)

    def use(self, weights: Weights) -> None:
        """Take other weights, such as a new round's; raises as the constructor does."""
        check_weights(weights, self.architecture)
        for name, tensor in split(weights, self.architecture).items():
            for session in self._sessions.values():
                session.view(name)[:] = across(tensor)

    def logits(self, features: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Compute the logits of an utterance.

        Parameters
        ----------
        features
            Shape ``(L, features)``, normalised. ``L`` is the front end's number of frames; where
            that varies, any that has room for the utterance: what lies behind it does not matter.
        frames
            True frames of the utterance.

        Returns
        -------
        numpy.ndarray
            Shape ``(labels,)``, float32.

        Raises
        ------
        TrainingError
            If the features have another shape.
        """
        architecture = self.architecture
        self._check(features, frames)
        length = architecture.frames
        if architecture.pools:
            lengths = np.array([frames], np.int32)
            length = model_length(architecture, lengths)
            features = padded(features[None], lengths, length)[0]
        session = self._session(length)
        session.view("features")[0] = features
        if architecture.pools:
            session.view("shares")[:] = shares(architecture.at(length), lengths)
        session.run()
        logits: NDArray[np.float32] = session.view("logits")[0].copy()
        return logits

    def _check(self, features: NDArray[np.float32], frames: int) -> None:
        architecture = self.architecture
        length = max(frames, len(features)) if architecture.variable else architecture.frames
        if features.shape != (length, architecture.features):
            raise TrainingError(
                f"An utterance should have features of shape ({length}, {architecture.features}), "
                f"this one has {features.shape}."
            )

    def _session(self, length: int) -> Session:
        """Give the session for a padded length; the least recently used one goes for it."""
        session = self._sessions.pop(length, None)
        if session is None:
            file = graph_file(self.architecture.at(length), "infer")
            session = Session(file, "infer", self._threads, delegates=False)
            for other in self._sessions.values():
                for spec in self.architecture.manifest:
                    session.view(spec.name)[:] = other.view(spec.name)
                break
            if len(self._sessions) == _LENGTHS:
                del self._sessions[next(iter(self._sessions))]
        self._sessions[length] = session
        return session
