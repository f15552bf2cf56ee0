"""What the words of an utterance change in what a device recognises."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shared.errors import SettingsError
from shared.fused_model import FusedModel
from shared.sentences import SentenceEncoder, sentence_encoder
from shared.task import Task
from shared.weights import another_task


@dataclass(frozen=True)
class Fused:
    """A fused model, and what makes vectors of sentences for it.

    The device's own answer, which knows its person's corrections, stays what it begins with: it is
    multiplied by how much more, or less, probable the fused model finds each label with the words
    than without them.

    Attributes
    ----------
    model
        Of speech and words.
    encoder
        As the model was trained with.
    """

    model: FusedModel
    encoder: SentenceEncoder

    @classmethod
    def read(cls, path: Path, sentences: str, task: Task) -> Self:
        """Read the model of a file.

        Raises
        ------
        WeightsError
            If it cannot be used, or is of another task.
        SettingsError
            If there is no such encoder, or the model was trained with another one.
        MissingPartError
            If a package that the encoder needs is not installed.
        """
        model = FusedModel.read(path)
        if error := another_task(model.task, task, str(path)):
            raise error
        encoder = sentence_encoder(sentences, model.sentences)
        if (encoder.name, encoder.width) != (model.sentences, model.text_width):
            raise SettingsError(
                f"{path} was trained with another encoder of sentences than {sentences}.",
                "Name that one with --sentences.",
            )
        return cls(model, encoder)

    def recognise(
        self, shares: tuple[float, ...], features: NDArray[np.float32], words: str
    ) -> tuple[float, ...]:
        """Give the probability of each label with the words.

        Parameters
        ----------
        shares
            The device's own probabilities, without them.
        features
            The utterance's normalised vector, shape ``(features,)``.
        words
            What was said.
        """
        vector = self.encoder.vectors([words])[0]
        knowing = np.array(self.model.probabilities(features, vector), np.float64)
        without = np.array(self.model.probabilities(features, np.zeros_like(vector)), np.float64)
        tiny = np.finfo(np.float32).tiny
        found = np.array(shares) * np.maximum(knowing, tiny) / np.maximum(without, tiny)
        return tuple((found / found.sum()).tolist())
