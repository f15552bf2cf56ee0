"""Everything of ``aggregator serve``."""

from typing import ClassVar

from aggregator.broker.embedded import EmbeddedBrokerSettings
from aggregator.settings import AggregatorSettings
from shared.mqtt.broker_settings import BrokerSettings


class ServeSettings(AggregatorSettings, EmbeddedBrokerSettings):
    """A federation, its broker, and how long to serve."""

    panel: ClassVar[str] = "Serving"

    broker: BrokerSettings = BrokerSettings()
    """Where the federation's broker is."""
    stay: bool = False
    """Stay after the last round, so that devices which come later still get the model."""
