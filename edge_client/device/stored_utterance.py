"""What a device makes of one utterance."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.emotions import EMOTIONS, Emotion

Origin = Literal["mic", "wav", "import"]
"""Where an utterance came from."""


@dataclass(frozen=True, slots=True)
class StoredUtterance:
    """One utterance: what the model says of it, and what the person said.

    Attributes
    ----------
    identifier
        Its number in the store, from 1; 0 if it could not be kept there.
    heard_at
        When it ended, UTC.
    seconds
        How long it lasts.
    probabilities
        One for each of :data:`shared.emotions.EMOTIONS`, together 1; ``None`` if there was no
        model yet.
    label
        What the person said it is; ``None`` until then.
    discarded
        Whether the person threw it away: it is not trained on.
    source
        Where it came from.
    speaker
        Whose it is, if that was said.
    """

    identifier: int
    heard_at: datetime
    seconds: float
    probabilities: tuple[float, ...] | None
    label: Emotion | None = None
    discarded: bool = False
    source: Origin = "mic"
    speaker: str | None = None

    @property
    def emotion(self) -> Emotion | None:
        """The most probable emotion; ``None`` if there was no model yet."""
        if self.probabilities is None:
            return None
        return EMOTIONS[self.probabilities.index(max(self.probabilities))]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it: a line of ``--headless``, an entry of the page."""
        probabilities = self.probabilities
        return {
            "identifier": self.identifier,
            "heard_at": self.heard_at.isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 2),
            "emotion": self.emotion,
            "probabilities": probabilities
            and {emotion: round(p, 4) for emotion, p in zip(EMOTIONS, probabilities, strict=True)},
            "label": self.label,
            "discarded": self.discarded,
            "source": self.source,
            "speaker": self.speaker,
        }
