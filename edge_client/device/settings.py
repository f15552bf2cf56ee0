"""What a device recognises with, and what it keeps."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from shared.settings import Settings, read_toml

Megabytes = Annotated[float, Field(gt=0, le=1_000_000)]


def _state_folder() -> Path:
    above = os.environ.get("XDG_STATE_HOME")
    return (Path(above) if above else Path.home() / ".local" / "state") / "chorus"


class DeviceSettings(Settings):
    """What a device recognises with, and what it keeps."""

    panel: ClassVar[str] = "Recognising and keeping"

    state: Path | None = None
    """Folder for all that this device keeps: `$XDG_STATE_HOME/chorus` or `~/.local/state/chorus`
    if not given."""
    weights: Path | None = None
    """A model to begin with (safetensors); kept in the state folder, so it is given once."""
    normalisation: Literal["none", "device"] = "device"
    """device (by the statistics of what this device has heard) or none; as the model was trained.
    """
    speaker: str | None = None
    """Who speaks: kept with each utterance."""
    store_mb: Megabytes = 100.0
    """Megabytes of examples to keep; one of 3 s takes 5 kB. The oldest unlabelled make way,
    labelled ones never."""
    keep_audio: bool = False
    """Also keep the sound of utterances, in the state folder. It never leaves the device."""
    audio_mb: Megabytes = 500.0
    """Megabytes of sound to keep; the oldest goes first."""
    keep_unlabelled: bool = False
    """Semi-supervised: also train on utterances that nobody has labelled, where the model is
    sure of itself, as if it were right. They are marked as guesses, never as labels."""

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self.state.expanduser() if self.state else _state_folder()

    @classmethod
    def of_run(cls, given: Mapping[str, Any], config: Path | None) -> Self:
        """Gather them as :meth:`collect` does; the file may be one of ``edge-client run``."""
        found = read_toml(config) if config else {}
        return cls.collect(given, preset={n: v for n, v in found.items() if n in cls.model_fields})
