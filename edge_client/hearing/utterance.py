"""What hearing hands on: one utterance."""

from dataclasses import dataclass

from shared.audio import RATE, Samples


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech, as it was heard.

    Attributes
    ----------
    samples
        Shape ``(samples,)``, float32, 16 kHz mono, pre-roll and hang-over included.
    start
        Where its first sample lies: seconds since the stream's start, by the stream's own count
        of samples.
    """

    samples: Samples
    start: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE
