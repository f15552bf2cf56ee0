"""A Whisper's weights as its publishers lay them out.

Whatever the file, tensors go by the names of openai-whisper: ``conv1.weight``, ``blocks.0.attn.
query.weight`` and so on, of the encoder alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import WeightsError, shown


@dataclass(frozen=True, slots=True)
class Published:
    """The weights of an encoder.

    Attributes
    ----------
    path
        The file.
    tensors
        By name, of any float type.
    """

    path: Path
    tensors: Mapping[str, NDArray[Any]]


def in_float32(name: str, values: NDArray[Any]) -> NDArray[np.float32]:
    """Round values to what a device computes with.

    Raises
    ------
    ValueError
        If one is not finite then; with a clause that names the tensor.
    """
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds values that are not finite in float32")
    return found


def unfit(path: Path, why: str) -> WeightsError:
    """Make the error that a file cannot be used; ``why`` is a clause."""
    return WeightsError(
        f"{path} holds no Whisper that can be read: {shown(why)}.",
        "Give a faster-whisper folder, an openai-whisper .pt, or the model.safetensors of "
        "transformers.",
    )
