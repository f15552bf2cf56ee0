"""How sure a model may be of its answers, measured on people whom it was not trained on.

A network is often surer of itself than it is right. Temperature scaling (Guo et al., *On
Calibration of Modern Neural Networks*, 2017) divides its logits by one number, so that of the
answers with a probability of 0.7 about seven in ten are right. No answer changes by it.

Where there is a voice model, each utterance's logits are divided by its own doubt first
(:mod:`shared.features.doubt`): it is larger for people in other rooms and languages.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import WeightsError
from shared.metrics import softmax
from shared.storage.tensor_file import TensorFile

BINS: Final = 10
"""Parts of equal width into which probabilities are divided, from 0 to 1."""

_METADATA: Final = "calibration"
"""What a model file's metadata call it."""

_LIMITS: Final = (0.05, 20.0)
"""Temperatures beyond these come of no measurement; a file that has one is damaged."""

_HALVINGS: Final = 50
"""Of the interval that a temperature is looked for in: more than a float64 tells apart."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often answers were right, by the probability that the model gave them.

    Attributes
    ----------
    answers, right
        How many answers had a probability in each bin, and how many of them were right; shape
        ``(BINS,)``. That of 1 is in the last bin.
    probabilities
        Sum of the probabilities of the answers in each bin, shape ``(BINS,)``.
    """

    answers: tuple[int, ...]
    right: tuple[int, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def of(cls, probabilities: ArrayLike, labels: ArrayLike) -> Self:
        """Count the most probable answers to utterances.

        Parameters
        ----------
        probabilities
            Shape ``(n, labels)``.
        labels
            True labels, shape ``(n,)``, integers.
        """
        found = np.asarray(probabilities, np.float64)
        sure, right = found.max(axis=1), found.argmax(axis=1) == np.asarray(labels)
        bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
        return cls(
            tuple(np.bincount(bins, minlength=BINS).tolist()),
            tuple(np.bincount(bins[right], minlength=BINS).tolist()),
            tuple(round(total, 6) for total in np.bincount(bins, sure, BINS).tolist()),
        )

    def __add__(self, other: Self) -> Self:
        """Count the answers of both."""
        return type(self)(
            tuple(map(sum, zip(self.answers, other.answers, strict=True))),
            tuple(map(sum, zip(self.right, other.right, strict=True))),
            tuple(map(sum, zip(self.probabilities, other.probabilities, strict=True))),
        )

    @property
    def error(self) -> float:
        """The expected calibration error: mean distance of probability and share of right answers.

        Each bin counts by its answers (Naeini et al., 2015; Guo et al., 2017). Few answers raise
        it by chance alone.
        """
        apart = np.abs(np.subtract(self.right, self.probabilities)).sum()
        return float(apart / max(1, sum(self.answers)))

    def below(self, probability: float) -> tuple[int, int]:
        """Count the answers below a probability, in whole bins, and how many of them were wrong."""
        bins = math.floor(probability * BINS + 1e-9)  # 0.3 * 10 is a little less than 3
        answers = sum(self.answers[:bins])
        return answers, answers - sum(self.right[:bins])

    def to_dict(self) -> dict[str, list[float]]:
        """Give it as JSON takes it."""
        return {
            "answers": list(self.answers),
            "right": list(self.right),
            "probabilities": list(self.probabilities),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` gave; raise :class:`ValueError` if it cannot be that."""
        answers, right, sums = (told.get(n) for n in ("answers", "right", "probabilities"))
        if not all(isinstance(row, list) and len(row) == BINS for row in (answers, right, sums)):
            raise ValueError("its bins are missing")
        for count, good, total in zip(answers or (), right or (), sums or (), strict=True):
            whole = type(count) is int and type(good) is int and isinstance(total, int | float)
            if not whole or not 0 <= good <= count or not 0 <= total <= count:
                raise ValueError("its bins hold counts that cannot be")
        return cls(tuple(answers or ()), tuple(right or ()), tuple(map(float, sums or ())))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of how sure a model may be.

    Attributes
    ----------
    temperature
        What logits are divided by; ``None`` if it was never measured, and they stay as they are.
    reliability
        What the temperature made of the answers that it was measured with; ``None`` if it comes
        from an earlier model.
    doubting
        Whether logits are divided by the doubt of each utterance, too.
    """

    temperature: float | None = None
    reliability: Reliability | None = None
    doubting: bool = False

    @classmethod
    def measured(
        cls,
        logits: NDArray[np.float32],
        labels: ArrayLike,
        doubts: NDArray[np.float32] | None = None,
    ) -> Self:
        """Measure on utterances of people that the model was not trained on.

        Parameters
        ----------
        logits
            Shape ``(n, labels)``; n at least 1.
        labels
            True labels, shape ``(n,)``, integers.
        doubts
            The doubt of each, shape ``(n,)``, if answers are to be doubted by it.
        """
        found = cls(doubting=doubts is not None)
        doubted = found.doubted(logits, doubts).astype(np.float64)
        found = replace(found, temperature=_fitted(doubted, np.asarray(labels)))
        return replace(
            found, reliability=Reliability.of(found.probabilities(logits, doubts), labels)
        )

    def inherited(self) -> Self:
        """Give what a model trained from this one begins with: nothing was measured on it yet."""
        return replace(self, reliability=None)

    def doubted(
        self, logits: NDArray[np.float32], doubts: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Divide logits of shape ``(..., labels)`` by doubts, shape ``(...)``, if that was asked.

        Without doubts, and where the temperature was measured without, they stay as they are.
        """
        return logits if doubts is None or not self.doubting else logits / doubts[..., None]

    def probabilities(
        self, logits: NDArray[np.float32], doubts: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Turn logits into probabilities; shapes as in :meth:`doubted`."""
        doubted = self.doubted(logits, doubts)
        return softmax(doubted.astype(np.float64) / (self.temperature or 1.0))

    def to_metadata(self) -> dict[str, str]:
        """Give what a model's file says of it; nothing where nothing was measured."""
        if self.temperature is None:
            return {}
        told: dict[str, Any] = {"temperature": self.temperature}
        if self.doubting:
            told["doubting"] = True
        if self.reliability is not None:
            told["reliability"] = self.reliability.to_dict()
        return {_METADATA: json.dumps(told, separators=(",", ":"))}


UNMEASURED: Final = Calibration()
"""That of a model whose probabilities nobody has compared with the truth."""


def load_calibration(path: Path) -> Calibration:
    """Read a model file's calibration; that of a file that has none is :data:`UNMEASURED`.

    Raises
    ------
    WeightsError
        If the file is missing or damaged, or what it says cannot be.
    """
    metadata = TensorFile(path).metadata
    if _METADATA not in metadata:
        return UNMEASURED
    try:
        return _parsed(metadata[_METADATA])
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} does not say how sure its answers may be.",
            "Its metadata are damaged: take the model from where it was made.",
        ) from error


def _parsed(text: str) -> Calibration:
    """Read what :meth:`Calibration.to_metadata` wrote."""
    told = json.loads(text)
    if not isinstance(told, dict):
        raise TypeError("it is no object")
    temperature = float(told["temperature"])
    if not _LIMITS[0] <= temperature <= _LIMITS[1]:
        raise ValueError("its temperature is out of range")
    bins = told.get("reliability")
    if not isinstance(bins, dict | None):
        raise TypeError("its reliability is no object")
    if (doubting := told.get("doubting", False)) not in (True, False):
        raise TypeError("whether it doubts is not said")
    reliability = None if bins is None else Reliability.from_dict(bins)
    return Calibration(temperature, reliability, doubting)


def _fitted(logits: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Find the temperature under which the labels are likeliest.

    Half the square of its logarithm is added to the loss, a weak prior around 1: else a few answers
    that are all right would ask for a temperature of 0.
    """
    centred = logits - logits.max(axis=1, keepdims=True)
    true = centred[np.arange(len(centred)), labels]
    low, high = map(math.log, _LIMITS)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        sharpness = math.exp(-middle)
        expected = (softmax(centred * sharpness) * centred).sum(axis=1)
        # The derivative of the loss by the logarithm of the temperature.
        rising = sharpness * float((true - expected).sum()) + middle > 0
        low, high = (low, middle) if rising else (middle, high)
    return math.exp(high)
