"""What the words of an utterance change in what a device recognises."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.environment import remark_once
from shared.errors import SettingsError
from shared.fused_model import FusedModel
from shared.sentences import SentenceEncoder, sentence_encoder
from shared.task import Task
from shared.weights import another_task

_NEAR: Final = {"device", "voice"}
"""Normalisations by what is known of a person, whose features are of one size and place."""


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
    def read(cls, path: Path, sentences: str, task: Task, normalisation: str) -> Self:
        """Read the model of a file.

        If it was trained with another normalisation that is near the device's, that is said.

        Parameters
        ----------
        path
            The file.
        sentences
            What makes vectors of sentences.
        task
            Of the device.
        normalisation
            How the device normalises the features of speech.

        Raises
        ------
        WeightsError
            If it cannot be used, or is of another task.
        SettingsError
            If there is no such encoder, or the model was trained with another one, or with another
            normalisation.
        MissingPartError
            If a package that the encoder needs is not installed.
        """
        model = FusedModel.read(path)
        if error := another_task(model.task, task, str(path)):
            raise error
        _check_normalisation(path, model.normalisation, normalisation)
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


def _check_normalisation(path: Path, trained: str, device: str) -> None:
    """Refuse a model of features that lie elsewhere than the device's; remark on a near one."""
    if trained == device:
        return
    sentence = f"{path} was trained with normalisation {trained}, this device has {device}."
    if not {trained, device} <= _NEAR:
        remedy = f"Make one by edge-client experiment fusion --normalisation {device}."
        raise SettingsError(sentence, remedy)
    remark_once(f"{sentence} What words change may be less right than in its test.")
