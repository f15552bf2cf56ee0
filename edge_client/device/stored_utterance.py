"""What a device makes of one utterance."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Origin = Literal["mic", "wav", "import"]
"""Where an utterance came from."""


@dataclass(frozen=True, slots=True)
class StoredUtterance:
    """One utterance: what the model says of it, and what the person said.

    Attributes
    ----------
    identifier
        Its number in the store, from 1; negative if it could not be kept there,
        0 before that is known.
    heard_at
        When it ended, UTC.
    seconds
        How long it lasts.
    probabilities
        One for each of ``names``, together 1; ``None`` if there was no model yet.
    names
        Of the labels of the task that it was heard for.
    front_end
        Name and version of what computed its features: ``paper34 1``.
    label
        What the person said it is; ``None`` until then.
    discarded
        Whether the person threw it away: it is not trained on.
    source
        Where it came from.
    speaker
        Whose it is, if that was said.
    unsure
        Whether the device called its answer unsure.
    """

    identifier: int
    heard_at: datetime
    seconds: float
    probabilities: tuple[float, ...] | None
    names: tuple[str, ...]
    front_end: str
    label: str | None = None
    discarded: bool = False
    source: Origin = "mic"
    speaker: str | None = None
    unsure: bool = False

    @property
    def predicted(self) -> str | None:
        """The most probable label; ``None`` if there was no model yet."""
        if self.probabilities is None:
            return None
        return self.names[self.probabilities.index(max(self.probabilities))]

    @property
    def shares(self) -> dict[str, float]:
        """The probability of each label by its name; empty if there was no model yet."""
        return dict(zip(self.names, self.probabilities or (), strict=False))

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON takes it: a line of ``--headless``, an entry of ``examples list``."""
        return {
            "identifier": self.identifier,
            "heard_at": self.heard_at.isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 2),
            "emotion": self.predicted,
            "unsure": self.unsure,
            "probabilities": {name: round(p, 4) for name, p in self.shares.items()} or None,
            "label": self.label,
            "discarded": self.discarded,
            "source": self.source,
            "speaker": self.speaker,
            "front_end": self.front_end,
        }
