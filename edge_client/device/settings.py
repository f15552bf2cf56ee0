"""What a device recognises with, and what it keeps."""

from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from shared.environment import Prefix
from shared.settings import Settings
from shared.storage.folders import state_folder
from shared.task_settings import TaskSettings

UNSURE_BELOW: Final = 0.5
"""Probability below which an answer is called unsure unless a setting says otherwise. Of such
answers of a calibrated head, 34 of 63 were wrong on validation speakers; of those just above it,
35 of 103."""

Megabytes = Annotated[float, Field(gt=0, le=1_000_000)]


class StateSettings(Settings):
    """Where a device keeps what it keeps."""

    environment: ClassVar[Prefix] = "CHORUS_EDGE_"
    panel: ClassVar[str] = "Recognising and keeping"

    state: Path | None = None
    """Folder for all that this device keeps: `$XDG_STATE_HOME/chorus` or `~/.local/state/chorus`
    if not given."""

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self.state or state_folder("chorus")


class DeviceSettings(StateSettings, TaskSettings):
    """What a device recognises with, and what it keeps."""

    panel: ClassVar[str] = "Recognising and keeping"

    weights: Path | None = None
    """A model to begin with (safetensors); kept in the state folder, so it is given once."""
    starter: bool = False
    """Recognise with the model that comes with the package, through whisper-speech, until
    there is another; so does a device for which nobody chose labels, front end or model, and whose
    state folder was used with no other."""
    normalisation: Literal["none", "device", "voice"] = "device"
    """device (by the statistics of what this device has heard), voice (the same, but the voice is
    told from the mood; needs --voice) or none; as the model was trained."""
    voice: Path | None = None
    """A voice model (safetensors): what --normalisation voice tells voices from moods by. One that
    lies beside the model is taken without being named."""
    prior: Path | None = None
    """Statistics to begin with (safetensors), until this device has heard enough of its own. Those
    that lie beside the model are taken without being named."""
    unsure_below: Annotated[float, Field(ge=0, le=1)] = UNSURE_BELOW
    """An answer of a lower probability is called unsure, and asked about first. The device says how
    many such answers of its model were wrong on people it had not heard, if that was measured."""
    speaker: str | None = None
    """Who speaks: kept with each utterance."""
    store_mb: Megabytes = 100.0
    """Megabytes of examples to keep; one takes some 6 kB. The oldest unlabelled make way, labelled
    ones never."""
    keep_audio: bool = False
    """Also keep the sound of utterances, in the state folder. It never leaves the device."""
    audio_mb: Megabytes = 500.0
    """Megabytes of sound to keep; the oldest goes first."""
    keep_unlabelled: bool = False
    """Semi-supervised: also train on utterances that nobody has labelled, where the model is
    sure of itself, as if it were right. They are marked as guesses, never as labels."""

    @model_validator(mode="after")
    def _check_voice(self) -> Self:
        if (self.normalisation == "voice") != (self.voice is not None):
            raise ValueError("normalisation voice and a voice model (voice) go together")
        if self.prior is not None and self.normalisation != "device":
            raise ValueError("statistics to begin with (prior) are for normalisation device")
        return self
