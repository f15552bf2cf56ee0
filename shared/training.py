"""What a client is told about its training, and what it trains on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.errors import TrainingError
from shared.settings import Settings
from shared.task import Task

if TYPE_CHECKING:  # commands build their options from this module: --help does without NumPy
    import numpy as np
    from numpy.typing import NDArray

_LARGEST: Final = 1e9
"""What rates, norms and factors are at most: float32 still computes with it."""

Positive = Annotated[float, Field(gt=0, le=_LARGEST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=_LARGEST, allow_inf_nan=False)]

Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
"""What random streams are opened with; SQLite and JSON's readers take as much."""


class TrainingSettings(Settings):
    """How a client trains in one round.

    The defaults are the paper's one epoch and batches of 20 (Chau & Garces, 2021), but ten times
    its learning rate, which suits normalised features.
    """

    panel: ClassVar[str] = "Training on a client"

    optimizer: Literal["adam", "sgd"] = "adam"
    """The client's optimiser, fresh in every round."""
    learning_rate: Positive = 1e-3
    """The client's learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of SGD; Adam's betas are 0.9 and 0.999."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 20
    """Examples a step."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Passes over the client's examples; one, if neither this nor ``steps`` is given."""
    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Optimiser steps, instead of epochs."""
    proximal: NotNegative = 0.0
    """FedProx's mu (Li et al., 2020): pulls the client's weights to the round's global ones."""
    dropout: bool = True
    """Dropout of 0.2 behind each hidden convolution and dense layer."""
    augmentation: bool = False
    """Vary the normalised features of each batch at random; see shared/features/augmentation.py."""
    head_only: bool = False
    """Train only the head (``embedding_layer`` and ``logits``), for the smallest devices."""
    clip_norm: Positive | None = None
    """Shorten an update to this Euclidean norm before it is sent, over all weights together; 1 with
    a dp_epsilon, otherwise never if not given."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.epochs and self.steps:
            raise ValueError("give epochs or steps, not both")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError("momentum belongs to the optimizer sgd")
        return self

    def total_steps(self, examples: int) -> int:
        """Count the optimiser steps of one round for a client with this many examples."""
        return self.steps or (self.epochs or 1) * -(-examples // self.batch_size)


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled utterances of one client, normalised and ready for the model.

    Attributes
    ----------
    features
        Shape ``(n, frames, features)`` of the task's front end, float32; frames after an
        utterance's end are zero. Where the length varies, they are padded to the longest's.
    frames
        Shape ``(n,)``, int32: the true number of frames of each utterance.
    labels
        Shape ``(n,)``, int32: places among the task's labels.
    keys
        Shape ``(n,)``, int64: what each is known by for as long as it is kept, whatever comes and
        goes beside it; negative if no person has labelled it. ``None`` where nothing changes:
        their places are their keys.
    doubts
        Shape ``(n,)``, float32: how much to doubt a model's answer to each
        (:func:`shared.features.doubt.doubts`); ``None`` where nobody asked.
    """

    features: "NDArray[np.float32]"
    frames: "NDArray[np.int32]"
    labels: "NDArray[np.int32]"
    keys: "NDArray[np.int64] | None" = None
    doubts: "NDArray[np.float32] | None" = None

    def __len__(self) -> int:
        """Return the number of utterances."""
        return len(self.labels)

    @property
    def numbers(self) -> "NDArray[np.int64]":
        """What each is known by: its key or, where there are none, its place."""
        import numpy as np

        return np.arange(len(self)) if self.keys is None else self.keys

    def take(self, where: "NDArray[np.int64]") -> "Examples":
        """Select utterances by index."""
        keys = None if self.keys is None else self.keys[where]
        doubts = None if self.doubts is None else self.doubts[where]
        return Examples(self.features[where], self.frames[where], self.labels[where], keys, doubts)

    def newest(self, count: int) -> "Examples":
        """Select the last ``count`` utterances."""
        import numpy as np

        return self.take(np.arange(max(0, len(self) - count), len(self)))

    def check(self, task: Task) -> None:
        """Raise :class:`TrainingError` unless a model of a task can train on these examples."""
        import numpy as np

        count, front_end = len(self), task.front_end
        if not count:
            raise TrainingError("There are no examples to train on.")
        frames = front_end.frames
        if front_end.variable and self.features.ndim > 1:
            frames = self.features.shape[1]
        expected = (count, frames, front_end.features)
        if self.features.shape != expected or self.frames.shape != (count,):
            raise TrainingError(
                f"Examples should have features of shape {expected}, "
                f"these have {self.features.shape}."
            )
        if self.labels.min() < 0 or self.labels.max() >= len(task.labels):
            raise TrainingError(f"A label is outside 0 to {len(task.labels) - 1}.")
        if not np.isfinite(self.features).all():
            raise TrainingError("Features to train on hold values that are not finite.")
