"""The model a device recognises with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import WeightsError
from shared.recogniser import Recogniser
from shared.task import Task
from shared.task_settings import options_for
from shared.weights import Weights, digest, load_weights, save_weights

if TYPE_CHECKING:
    from edge_client.learning.personal_model import PersonalModel


class AnotherTaskError(WeightsError):
    """A model recognises something else than this device."""


def refuse_another_task(found: Task, wanted: Task, what: str) -> None:
    """Raise :class:`AnotherTaskError` unless a model's task is the device's."""
    if difference := wanted.difference(found):
        options = options_for(found)
        raise AnotherTaskError(
            f"{what} is of another task: {difference}.",
            "Give one of this device's task"
            + (f", or choose the model's: {options}." if options else "."),
        )


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
    def load(cls, path: Path, task: Task, *, keep: Path) -> Self:
        """Load the model to begin with, and keep it for the next time.

        Parameters
        ----------
        path
            The file (safetensors).
        task
            What it should recognise.
        keep
            Where it is kept; may be the same file.

        Raises
        ------
        AnotherTaskError
            If it recognises something else.
        WeightsError
            If the file is missing, damaged, or holds no such weights.
        """
        weights, architecture = load_weights(path)
        refuse_another_task(architecture.task, task, str(path))
        model = cls(weights, architecture)
        if path != keep:
            save_weights(keep, weights, architecture)
        return model

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
