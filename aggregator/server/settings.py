"""Everything of ``aggregator serve``."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from pydantic import model_validator

from aggregator.broker.embedded import EmbeddedBrokerSettings
from aggregator.settings import AggregatorSettings
from shared.front_ends import WHISPER
from shared.mqtt.addresses import split_address
from shared.mqtt.broker_settings import BrokerSettings
from shared.starter import STARTER_MODEL

WEB_ADDRESS: Final = "127.0.0.1:8766"
"""What ``--web`` alone stands for; a device's page on the same machine has another port."""


class ServeSettings(AggregatorSettings, EmbeddedBrokerSettings):
    """A federation, its broker, and how long to serve."""

    panel: ClassVar[str] = "Serving"

    front_end: str = WHISPER.name
    """What computes the features: whisper-speech (a vector of a speech encoder), paper34 (Chau &
    Garces, 2021; what a model of frames stands for where no front end is given),
    mfcc40 (40 coefficients each 10 ms), an encoder's file (FILE.safetensors), or that of an
    installed package."""
    model: str = STARTER_MODEL
    """The architecture: head or mlp for vectors of an encoder, or dense, conv, lstm, tdnn, tdnn13
    for frames (conv where their front end is given alone); or one that a package offers, on the
    devices too."""
    broker: BrokerSettings = BrokerSettings()
    """Where the federation's broker is."""
    stay: bool = False
    """Stay after the last round, so that devices which come later still get the model."""
    web: str | None = None
    """HOST:PORT: serve a page that shows how the federation does, and figures for Prometheus at
    /metrics; `--web` alone means 127.0.0.1:8766, which only this machine reaches, 0.0.0.0:8766 the
    whole network."""
    metrics_devices: bool = False
    """Let /metrics tell of each device by its name."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check values, with what was left open of what the federation recognises.

        That is what it was begun with, if it was; else what the weights to start from say; else the
        starter's. See :mod:`aggregator.server.beginning`.
        """
        from aggregator.server.beginning import with_task

        return super().parse(with_task(values))

    @model_validator(mode="after")
    def _check_transport(self) -> Self:
        if self.broker.transport == "websockets":
            if self.embedded_broker:
                raise ValueError("the embedded broker speaks MQTT over TCP only")
            if self.by_invitation:
                raise ValueError(
                    "a link cannot name a broker over websockets: give the aggregator the broker's "
                    "other port, with by_invitation"
                )
        return self

    @model_validator(mode="after")
    def _check_web(self) -> Self:
        if self.web is not None:
            split_address(self.web, 0)
        return self
