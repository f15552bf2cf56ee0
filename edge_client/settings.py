"""Everything of ``edge-client run``: what its parts need, and what it does besides."""

from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from edge_client.device.settings import DeviceSettings, StateSettings
from edge_client.federation.settings import FederationSettings, NameSettings
from edge_client.hearing.settings import HearingSettings
from edge_client.words.settings import WordsSettings
from shared.front_ends import WHISPER
from shared.mqtt.addresses import split_address
from shared.mqtt.broker_settings import BrokerSettings, HostName
from shared.settings import Settings
from shared.task import DEFAULT_TASK

WEB_PORT: Final = 8765
"""Where the page is, if no port is given."""

WEB_ADDRESS: Final = f"127.0.0.1:{WEB_PORT}"
"""What ``--web`` alone stands for."""

WEB_EVERYWHERE: Final = f"0.0.0.0:{WEB_PORT}"
"""Where the page of a device is that has joined a federation: a phone is to reach it."""


class HomeAssistantSettings(BrokerSettings):
    """A broker that Home Assistant uses."""

    panel: ClassVar[str] = "Home Assistant"
    option_prefix: ClassVar[str] = "home_assistant_"

    host: HostName
    """HOST or HOST:PORT of the broker that Home Assistant uses: the device is a sensor there."""
    discovery_prefix: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=128)
    ] = "homeassistant"
    """Under which topic Home Assistant looks for devices, if that was changed there."""


class HomeSettings(Settings):
    """Where a device appears in Home Assistant."""

    panel: ClassVar[str] = "Running"

    home_assistant: HomeAssistantSettings | None = None
    """The broker that Home Assistant uses, where the device is to appear there."""


class AppearanceSettings(HomeSettings, NameSettings, StateSettings):
    """Everything of ``edge-client home-assistant``."""


class RunSettings(HearingSettings, DeviceSettings, WordsSettings, FederationSettings, HomeSettings):
    """Everything of ``edge-client run``."""

    panel: ClassVar[str] = "Running"

    front_end: str = WHISPER.name
    """What computes the features: whisper-speech (a vector of a speech encoder), paper34 (Chau &
    Garces, 2021), mfcc40 (40 coefficients each 10 ms), an encoder's file (FILE.safetensors), that
    of an installed package, or package.module:Name. Where it is not given, the model that is given
    says it, or what the state folder was used with; so it is with the labels."""
    mic: bool = False
    """Listen to the microphone."""
    wav: Path | None = None
    """Hear a recording instead, as if it were spoken now."""
    clips: Path | None = None
    """Do not listen: take part in a federation with clips that are labelled already, in a folder
    with sub-folders named by label, or in a manifest (CSV)."""
    fast: bool = False
    """Hear the recording at once, not in real time: the results are the same."""
    offline: bool = False
    """Take part in no federation: recognise, label and learn on this device only."""
    headless: bool = False
    """No view: one line of JSON an utterance on standard output, for other programs. A microphone
    that is not there yet is waited for."""
    web: str | None = None
    """HOST:PORT: serve a page to label from a phone; `--web` alone means 127.0.0.1:8765, which
    only this machine reaches, 0.0.0.0:8765 the whole network."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if [self.mic, self.wav is not None, self.clips is not None].count(True) != 1:
            raise ValueError("say what to hear: --mic, or --wav FILE, or --clips FOLDER")
        if self.fast and self.mic:
            raise ValueError("only a recording can be heard fast (--wav FILE)")
        self._check_starter()
        if self.web is not None:
            split_address(self.web, 0)
        return self

    def _check_starter(self) -> None:
        if not self.starter:
            return
        own = {"weights": None, "prior": None, "voice": None, "normalisation": "device"}
        for name, value in own.items():
            if getattr(self, name) != value:
                raise ValueError(f"the starter comes with a {name} of its own: leave out --{name}")
        if self.labels != DEFAULT_TASK.names:
            raise ValueError(
                f"the starter recognises {', '.join(DEFAULT_TASK.names)}: leave out --labels"
            )
        if self.front_end != WHISPER.name:
            raise ValueError(f"the starter hears through {WHISPER.name}: leave out --front-end")

    def begun(self) -> Self:
        """Give the settings with what their person left open; see :mod:`.device.beginning`."""
        from edge_client.device.beginning import begun

        return begun(self)
