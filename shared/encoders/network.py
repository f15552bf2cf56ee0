"""A time-delay network that knows speech, in a file: to begin with, or as an encoder.

The file is one of weights (:func:`shared.weights.load_weights`), and says besides by which mean and
deviation the frames were normalised that the network learnt of.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.errors import WeightsError
from shared.frames import normalised
from shared.model_notes import ModelNotes
from shared.storage.tensor_file import TensorFile, write_tensors
from shared.weights import Weights, load_weights, model_metadata, split

_FRAMES: Final = "frames"
"""What the file's metadata call mean and deviation."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network, and how its frames are normalised.

    Attributes
    ----------
    architecture
        With logits, of which an encoder makes no use.
    weights
        Shape ``(parameters,)``.
    mean, deviation
        Of each feature over all frames that taught it, shape ``(features,)``, float64.
    """

    architecture: Architecture
    weights: Weights
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @property
    def units(self) -> int:
        """Length of an utterance's vector: what the last hidden layer gives."""
        (bias,) = self.architecture.embedding.manifest[-1].shape
        return bias

    def normalise(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise true frames, shape ``(..., features)``, as those were that taught it."""
        return normalised(frames, self.mean, self.deviation)

    def write(self, path: Path, notes: ModelNotes) -> None:
        """Write its file, whole or not at all; raises :class:`StorageError` if it cannot be."""
        normalised_by = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}
        metadata = model_metadata(self.architecture) | notes.to_metadata()
        metadata[_FRAMES] = json.dumps(normalised_by, separators=(",", ":"))
        write_tensors(path, split(self.weights, self.architecture), metadata)


def read_network(path: Path) -> Network:
    """Read a network's file.

    Raises
    ------
    WeightsError
        If it is missing, damaged, or says nothing of the frames.
    """
    weights, architecture = load_weights(path)
    wanted = (2, architecture.features)
    try:
        stated = json.loads(TensorFile(path).metadata[_FRAMES])
        frames = np.array([stated["mean"], stated["deviation"]], np.float64)
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise _without_frames(path) from error
    sound = frames.shape == wanted and np.isfinite(frames).all() and (frames[1] >= 0).all()
    if not (sound and architecture.pools):
        raise _without_frames(path)
    return Network(architecture, weights, *frames)


def _without_frames(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} does not say by what the frames of its network are normalised.",
        "Give what `edge-client pretrain` wrote.",
    )
