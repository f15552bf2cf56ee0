"""The model a device recognises with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import WeightsError
from shared.recogniser import Recogniser
from shared.weights import Weights, digest, save_weights

if TYPE_CHECKING:
    from edge_client.learning.personal_model import PersonalModel


class Model:
    """A global model, and perhaps a personal one beside it.

    Parameters
    ----------
    weights, architecture
        The global weights, and which model they are of.

    Attributes
    ----------
    architecture
        As given.
    digest
        Of the global weights.
    personal
        What the person's examples have taught about them, if anything.

    Raises
    ------
    WeightsError
        If the weights do not belong to the architecture or are not finite.
    """

    def __init__(self, weights: Weights, architecture: Architecture) -> None:
        self._recogniser = Recogniser(architecture, weights)
        self.architecture = architecture
        self.digest = digest(weights)
        self.personal: PersonalModel | None = None

    @classmethod
    def keep(cls, path: Path, weights: Weights, named: str, architecture: Architecture) -> Self:
        """Check new weights, and write them to the file.

        Raises
        ------
        WeightsError
            Also if their digest is not the one they were ``named`` by.
        """
        model = cls(weights, architecture)
        if model.digest != named:
            raise WeightsError(f"These weights should have the digest {named}: {model.digest}.")
        save_weights(path, weights, architecture)
        return model

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the global model's logits of an utterance, shape ``(labels,)``.

        Parameters
        ----------
        features
            Shape ``(L, features)``, normalised.
        """
        return self._recogniser.logits(features)

    def probabilities(self, features: NDArray[np.float32], frames: int) -> tuple[float, ...]:
        """Recognise an utterance, with the personal model if there is one.

        Parameters
        ----------
        features
            Shape ``(L, features)``, normalised.
        frames
            Their true number.
        """
        logits = self.logits(features)
        if self.personal is not None:
            logits = self.personal.logits(features[None], np.array([frames]), logits[None])[0]
        powers = np.exp(logits.astype(np.float64) - logits.max())
        return tuple((powers / powers.sum()).tolist())

    def facts(self) -> dict[str, Any]:
        """Say which model it is, for a status."""
        return {
            "architecture": self.architecture.name,
            "digest": self.digest,
            "personal": self.personal is not None,
        }
