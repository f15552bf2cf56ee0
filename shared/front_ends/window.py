"""What front ends that look through a window ask of an utterance."""

import numpy as np

from shared.audio import RATE, Samples
from shared.errors import AudioError


def check_length(samples: Samples, window: int) -> None:
    """Raise :class:`AudioError` if an utterance is shorter than a window of so many samples."""
    if len(samples) < window:
        raise AudioError(
            f"The clip lasts {len(samples) / RATE:.2g} s, less than one window of "
            f"{window / RATE:g} s.",
            "Leave it out, or record a longer one.",
        )


def check_extremes(*values: np.float64) -> None:
    """Raise :class:`AudioError` if one of these, an utterance's extremes, is not finite."""
    if not np.isfinite(values).all():
        raise AudioError("The clip holds values that are not finite.", "Record it again.")
