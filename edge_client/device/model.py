"""The model a device recognises with."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import WeightsError
from shared.features.doubt import doubts
from shared.features.expression import Expression
from shared.features.statistics import Statistics, knowing, showing
from shared.frames import Frames, pad
from shared.inference import Inference
from shared.metrics import check_logits
from shared.model_notes import NO_NOTES, ModelNotes, load_notes
from shared.storage.files import replacing, sha256_of
from shared.weights import Weights, load_weights

if TYPE_CHECKING:
    from edge_client.learning.personal_model import PersonalModel


class Model:
    """A global model, and perhaps a personal one beside it.

    Parameters
    ----------
    weights, architecture
        The global weights, and which model they are of.
    digest
        SHA-256 of their file: what `aggregator models list` names the model by.
    notes
        What taught them and how sure their answers may be, if that is known.

    Attributes
    ----------
    architecture, digest, notes
        As given.
    personal
        What the person's examples have taught about them, if anything.

    Raises
    ------
    WeightsError
        If the weights do not belong to the architecture or are not finite.
    """

    def __init__(
        self,
        weights: Weights,
        architecture: Architecture,
        digest: str,
        notes: ModelNotes = NO_NOTES,
    ) -> None:
        self._inference = Inference(architecture, weights)
        self.architecture = architecture
        self.digest = digest
        self.notes = notes
        self.personal: PersonalModel | None = None

    @classmethod
    def load(cls, path: Path, architecture: Architecture | None = None) -> Self:
        """Read a model, whatever its task, or of the architecture that it should be.

        Raises
        ------
        WeightsError
            If there is no such file, or it holds no such model.
        """
        if architecture is None:
            weights, architecture = load_weights(path)
        else:
            weights = load_weights(path, architecture)
        return cls(weights, architecture, sha256_of(path), load_notes(path))

    @classmethod
    def copy(cls, path: Path, source: Path, named: str, architecture: Architecture) -> Self:
        """Check the weights of another file, and copy it as it is, so that it keeps its name.

        Raises
        ------
        WeightsError
            Also if its digest is not the one it was ``named`` by.
        """
        with replacing(path) as aside:
            try:
                shutil.copyfile(source, aside)
            except FileNotFoundError as error:
                raise WeightsError(f"There is no model {source}.") from error
            _check_name(sha256_of(aside), named)
            return cls.load(aside, architecture)

    def logits(self, features: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
        """Compute the global model's logits of an utterance, shape ``(labels,)``.

        Parameters
        ----------
        features
            Shape ``(L, features)``, normalised.
        frames
            Their true number.
        """
        return self._inference.logits(features, frames)

    def recognise(
        self,
        frames: Frames,
        statistics: Statistics | None,
        expression: Expression | None = None,
    ) -> tuple[float, ...]:
        """Recognise an utterance, with the personal model if there is one.

        Parameters
        ----------
        frames
            Shape ``(n, features)``, as the task's front end computed them.
        statistics
            What to normalise them by; ``None``: they stay as they are.
        expression
            How the person shows emotions, if that was inferred.

        Returns
        -------
        tuple of float
            The probability of each label, in the task's order.

        Raises
        ------
        WeightsError
            If what the model computes is not finite.
        """
        count = len(frames)
        features, doubt = pad(frames, self.architecture.task.front_end), None
        if statistics is not None:
            if self.personal is not None:
                statistics = knowing(statistics, self.personal.told)
            statistics = showing(statistics, expression)
            doubt = doubts(statistics, features[None])[0]
            features = statistics.normalise(features, count)
        calibration = self.notes.calibration
        logits = calibration.doubted(self.logits(features, count), doubt)
        temperature = calibration.temperature or 1.0
        if self.personal is not None:  # which was fitted with regard to the temperature
            logits = self.personal.logits(features[None], np.array([count]), logits[None])[0]
            temperature = 1.0
        check_logits(logits)
        scores = logits.astype(np.float64) / temperature
        powers = np.exp(scores - scores.max())
        return tuple((powers / powers.sum()).tolist())

    def facts(self) -> dict[str, Any]:
        """Say which model it is, for a status."""
        return {
            "architecture": self.architecture.name,
            "digest": self.digest,
            "personal": self.personal is not None,
        }


def _check_name(found: str, named: str) -> None:
    if found != named:
        raise WeightsError(f"This model should have the digest {named}, has {found}.")
