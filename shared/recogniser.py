"""Recognition of single utterances with a TFLite runtime."""

import numpy as np
from numpy.typing import NDArray

from shared.architectures import FEATURES, FRAMES, Architecture
from shared.errors import TrainingError
from shared.tflite import Session, across, packaged_file, physical_cores
from shared.weights import Weights, check_weights, split


class Recogniser:
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
        check_weights(weights, architecture)
        file = packaged_file(architecture, "infer")
        self._session = Session(file, "infer", threads or physical_cores(), delegates=False)
        self.use(weights)

    def use(self, weights: Weights) -> None:
        """Take other weights, such as a new round's; raises as the constructor does."""
        check_weights(weights, self.architecture)
        for name, tensor in split(weights, self.architecture).items():
            self._session.view(name)[:] = across(tensor)

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the logits of an utterance.

        Parameters
        ----------
        features
            Shape ``(100, 34)``, normalised.

        Returns
        -------
        numpy.ndarray
            Shape ``(4,)``, float32.

        Raises
        ------
        TrainingError
            If the features have another shape.
        """
        if features.shape != (FRAMES, FEATURES):
            raise TrainingError(
                f"An utterance should have features of shape ({FRAMES}, {FEATURES}), "
                f"this one has {features.shape}."
            )
        self._session.view("features")[0] = features
        self._session.run()
        logits: NDArray[np.float32] = self._session.view("logits")[0].copy()
        return logits
