"""What devices and the aggregator say to each other over MQTT; ``docs/protocol.md`` is its text."""
