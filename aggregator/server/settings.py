"""Everything of ``aggregator serve``."""

from typing import ClassVar, Final, Self

from pydantic import model_validator

from aggregator.broker.embedded import EmbeddedBrokerSettings
from aggregator.settings import AggregatorSettings
from shared.mqtt.addresses import split_address
from shared.mqtt.broker_settings import BrokerSettings

WEB_ADDRESS: Final = "127.0.0.1:8766"
"""What ``--web`` alone stands for; a device's page on the same machine has another port."""


class ServeSettings(AggregatorSettings, EmbeddedBrokerSettings):
    """A federation, its broker, and how long to serve."""

    panel: ClassVar[str] = "Serving"

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

    @model_validator(mode="after")
    def _check_web(self) -> Self:
        if self.web is not None:
            split_address(self.web, 0)
        return self
