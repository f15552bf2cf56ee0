"""The model that comes with the package, for devices and federations to begin with.

What it is, and what it reaches where, stands in ``card.md``.
"""

from pathlib import Path
from typing import Final, Literal

from shared.front_ends import WHISPER
from shared.task import DEFAULT_TASK, Task

STARTER: Final = Path(__file__).parent / "starter.safetensors"
"""Its weights: a head for the front end ``whisper-speech``."""

STARTER_MODEL: Final = "head"
"""Its architecture."""

STARTER_TASK: Final = Task(DEFAULT_TASK.labels, WHISPER)
"""What it recognises, from which features."""


def beside(weights: Path, kind: Literal["prior", "voice"]) -> Path:
    """Name the file with what a device's statistics begin with, beside the model's it belongs to.

    Parameters
    ----------
    weights
        The model's file, ending in ``.safetensors``.
    kind
        ``prior`` (:mod:`shared.features.prior`) or ``voice`` (:mod:`shared.features.voice_file`).
    """
    # Not `with_suffix`, which does not take what is no file's name, such as `.`.
    return weights.parent / f"{weights.stem}.{kind}.safetensors"


STARTER_VOICE: Final = beside(STARTER, "voice")
"""What a device's statistics begin with beside it."""
