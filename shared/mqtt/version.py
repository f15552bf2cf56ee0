"""Which version of MQTT is spoken: 5 where the broker has it, 3.1.1 elsewhere."""

from paho.mqtt.enums import MQTTProtocolVersion

from shared.mqtt.troubles import Trouble


class Version:
    """The version for the next attempt to connect.

    MQTT 5 says why a message is refused and why a connection ends. Nothing else of it is needed, so
    3.1.1 will do where 5 is not spoken.

    Attributes
    ----------
    spoken
        That version.
    """

    def __init__(self) -> None:
        self.spoken = MQTTProtocolVersion.MQTTv5

    @property
    def is_5(self) -> bool:
        """Whether it is MQTT 5."""
        return self.spoken == MQTTProtocolVersion.MQTTv5

    def step_down(self) -> None:
        """Speak 3.1.1 from now on."""
        self.spoken = MQTTProtocolVersion.MQTTv311

    def gives_way(self, trouble: Trouble) -> bool:
        """Say whether the other version shall be tried at once, after an attempt that failed."""
        if not trouble.unspoken:
            return False
        was_5 = self.is_5
        self.spoken = MQTTProtocolVersion.MQTTv311 if was_5 else MQTTProtocolVersion.MQTTv5
        return was_5
