"""The four emotions and their order in every label, logit and table."""

from typing import Final, Literal, get_args

Emotion = Literal["angry", "happy", "neutral", "sad"]

EMOTIONS: Final[tuple[Emotion, ...]] = get_args(Emotion)
"""Label ``i`` and logit ``i`` stand for ``EMOTIONS[i]``."""
