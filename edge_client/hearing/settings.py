"""How a device hears: one field an option of ``edge-client run``."""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.settings import Settings


class HearingSettings(Settings):
    """Which microphone, and what counts as an utterance."""

    panel: ClassVar[str] = "Hearing"

    device: str | None = None
    """Which microphone: its number or a part of its name, as `edge-client devices` lists them;
    the system's default if absent."""
    rate: Annotated[int, Field(ge=4_000, le=384_000)] | None = None
    """Samples per second to record at; the device's own if absent. All is resampled to 16 kHz."""
    channel: Annotated[int, Field(ge=1, le=64)] | None = None
    """Which channel of the microphone to take, from 1; the mean of the first two if absent."""
    threshold: Annotated[float, Field(ge=1, le=30)] = 4.0
    """How far speech has to stand out from the noise, in dB, averaged over frequency bands. Raise
    it in a place with changing noise."""
    pre_roll: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Seconds before the speech that belong to the utterance: its soft beginning."""
    hang_over: Annotated[float, Field(ge=0.2, le=2)] = 0.6
    """Seconds of silence that end an utterance; they belong to it."""
    shortest: Annotated[float, Field(ge=0.05, le=5)] = 0.3
    """Seconds that speech has to last: less is a click or a cough."""
