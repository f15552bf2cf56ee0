"""A fused model on a device: voice and words together, in a few products of matrices.

The file is safetensors: the tensors of each branch below its name (``speech/...``, ``text/...``,
``motion/...``), those of what fuses their embeddings below ``fusion``, and metadata that say which
labels it gives and from which front end and encoder of sentences. A device has no motion; what it
has not got counts as zeros, as in training.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.errors import WeightsError
from shared.layers import HEAD, LOGITS
from shared.metrics import softmax
from shared.model_notes.model_card import remark_on_no_speech
from shared.storage.tensor_file import TensorFile
from shared.task import Task

METADATA: Final = "fusion"
"""Key of the file's metadata that says what the model is for."""

FUSING: Final = "fusion"
"""Below which the tensors lie that fuse."""

_SPEECH: Final = "speech"
_TEXT: Final = "text"

Matrix = NDArray[np.float64]
"""Weights of a file, which are float32: no product of them goes beyond all bounds in float64."""

_NORMALISATIONS: Final = ("none", "corpus", "device", "voice")

_MOST_BRANCHES: Final = 8


@dataclass(frozen=True)
class FusedModel:
    """What a device needs of a fused model.

    Attributes
    ----------
    task
        Whose labels it gives, from which front end.
    normalisation
        How the features of speech are normalised.
    sentences
        Name of the encoder that makes vectors of what is said.
    branches
        Kernel and bias of each branch that a device has, in the order of the embeddings.
    widths
        Values of each branch's embedding, of those without a device's too.
    fusing
        Kernel and bias of the fusing layer, and of the logits.
    """

    task: Task
    normalisation: str
    sentences: str
    branches: dict[str, tuple[Matrix, Matrix]]
    widths: dict[str, int]
    fusing: tuple[Matrix, Matrix, Matrix, Matrix]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a model that ``edge-client experiment fusion`` has written.

        If it was taught by what is no speech, that is said, once a process.

        Raises
        ------
        WeightsError
            If it is not there, damaged, not such a model, or its speech is not one vector.
        """
        file = TensorFile(path)
        try:
            facts: dict[str, Any] = json.loads(file.metadata[METADATA])
            task = Task.from_dict(facts["task"])
            names = [str(name) for name in facts["branches"][:_MOST_BRANCHES]]
            own = {
                name: (_read(file, name, HEAD, "kernel"), _read(file, name, HEAD, "bias"))
                for name in (_SPEECH, _TEXT)
            }
            fusing = (
                _read(file, FUSING, HEAD, "kernel"),
                _read(file, FUSING, HEAD, "bias"),
                _read(file, FUSING, LOGITS, "kernel"),
                _read(file, FUSING, LOGITS, "bias"),
            )
            widths = {name: int(_read(file, name, HEAD, "bias").size) for name in names}
            normalisation, sentences = str(facts["normalisation"]), str(facts["sentences"])
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise _none(path) from error
        if task.front_end.frames != 1:
            raise WeightsError(
                f"{path} fuses words with {task.front_end.name}, which is not one vector an "
                "utterance: a device cannot use it.",
                "Make one with --front-end whisper-speech.",
            )
        model = cls(task, normalisation, sentences, own, widths, fusing)
        model.check(path)
        remark_on_no_speech(file.metadata)
        return model

    @property
    def text_width(self) -> int:
        """Values of the vector of what was said."""
        return len(self.branches[_TEXT][0])

    def check(self, path: Path) -> None:
        """Raise :class:`WeightsError` unless its parts fit each other and all values are finite."""
        inputs = {_SPEECH: self.task.front_end.features, _TEXT: len(self.branches[_TEXT][0])}
        hidden = len(self.fusing[1])
        wanted = [
            (self.fusing[:2], (sum(self.widths.values()), hidden)),
            (self.fusing[2:], (hidden, len(self.task.labels))),
            *(
                (pair, (inputs[name], self.widths.get(name, 0)))
                for name, pair in self.branches.items()
            ),
        ]
        fits = all(
            kernel.shape == shape and bias.shape == shape[1:] and min(shape) > 0
            for (kernel, bias), shape in wanted
        )
        arrays = [array for pair, _ in wanted for array in pair]
        fits = fits and self.normalisation in _NORMALISATIONS
        if not fits or not all(np.isfinite(array).all() for array in arrays):
            raise _none(path)

    def probabilities(
        self, speech: NDArray[np.float32], text: NDArray[np.float32]
    ) -> tuple[float, ...]:
        """Recognise an utterance: a probability for each label.

        Parameters
        ----------
        speech
            Its normalised vector, shape ``(features,)``.
        text
            The vector of what was said, shape ``(width,)``; zeros if nothing is known of that.
        """
        given = {_SPEECH: speech, _TEXT: text}
        parts = []
        for name, width in self.widths.items():
            if name in given and given[name].any():
                kernel, bias = self.branches[name]
                parts.append(np.maximum(given[name] @ kernel + bias, 0))
            else:
                parts.append(np.zeros(width))
        first, bias, last, logits = self.fusing
        hidden = np.maximum(np.concatenate(parts) @ first + bias, 0)
        return tuple(softmax(hidden @ last + logits).tolist())


def _read(file: TensorFile, *names: str) -> Matrix:
    tensor = file.read("/".join(names))
    if tensor.dtype != np.float32 or not tensor.ndim:
        raise ValueError("weights are matrices and vectors of float32")
    with np.errstate(invalid="ignore"):  # what is not finite is refused with the rest
        return tensor.astype(np.float64)


def _none(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} is no fused model of speech and words.",
        "Take the model.safetensors of a run of 'edge-client experiment fusion'.",
    )
