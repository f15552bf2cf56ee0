"""What Home Assistant documents of MQTT discovery, of sensors and of switches, as data.

From https://www.home-assistant.io/integrations/mqtt/, ``sensor.mqtt`` and ``switch.mqtt`` beside
it, and from what Home Assistant then checks (``homeassistant/components/mqtt/schemas.py``). A field
that is not documented, or is of another type, is refused.
"""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TOPIC: Final = re.compile(
    r"(?P<component>\w+)/(?:(?P<node_id>[a-zA-Z0-9_-]+)/)?(?P<object_id>[a-zA-Z0-9_-]+)/config"
)
"""Of a description, without the prefix before it."""

Text = Annotated[str, Field(min_length=1)]
OneTopic = Annotated[str, Field(pattern=r"^[^+#\x00]+$")]
Url = Annotated[str, Field(pattern="^(https?|homeassistant)://")]
Icon = Annotated[str, Field(pattern="^mdi:[a-z0-9-]+$")]
Number = Annotated[int, Field(ge=0)]


class Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DeviceFields(Fields):
    identifiers: Annotated[list[Text], Field(min_length=1)]
    connections: list[tuple[Text, Text]] = []
    configuration_url: Url | None = None
    hw_version: Text | None = None
    manufacturer: Text | None = None
    model: Text | None = None
    model_id: Text | None = None
    name: Text | None = None
    serial_number: Text | None = None
    suggested_area: Text | None = None
    sw_version: Text | None = None
    via_device: Text | None = None


class OriginFields(Fields):
    name: Text
    sw_version: Text | None = None
    support_url: Url | None = None


class EntityFields(Fields):
    # Found by discovery, an entity of a device needs these.
    unique_id: Text
    device: DeviceFields
    origin: OriginFields
    availability_mode: Literal["all", "any", "latest"] = "latest"
    availability_template: Text | None = None
    availability_topic: OneTopic | None = None
    enabled_by_default: bool = True
    encoding: Text = "utf-8"
    entity_category: Literal["config", "diagnostic"] | None = None
    entity_picture: Url | None = None
    icon: Icon | None = None
    json_attributes_template: Text | None = None
    json_attributes_topic: OneTopic | None = None
    name: Text | None = None
    object_id: Text | None = None
    payload_available: Text = "online"
    payload_not_available: Text = "offline"
    qos: Literal[0, 1, 2] = 0
    value_template: Text | None = None


class SensorFields(EntityFields):
    state_topic: OneTopic
    device_class: Text | None = None
    expire_after: Number = 0
    force_update: bool = False
    last_reset_value_template: Text | None = None
    options: list[Text] | None = None
    state_class: Literal["measurement", "total", "total_increasing"] | None = None
    suggested_display_precision: Number | None = None
    unit_of_measurement: Text | None = None

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        if (self.options is not None) != (self.device_class == "enum"):
            raise ValueError("options are for the device_class enum, and it needs them")
        if self.options is not None and (self.state_class or self.unit_of_measurement):
            raise ValueError("options go with no state_class and no unit_of_measurement")
        return self


class SwitchFields(EntityFields):
    command_topic: OneTopic
    command_template: Text | None = None
    device_class: Literal["outlet", "switch"] | None = None
    optimistic: bool = False
    payload_off: Text = "OFF"
    payload_on: Text = "ON"
    retain: bool = False
    state_off: Text | None = None
    state_on: Text | None = None
    state_topic: OneTopic | None = None


COMPONENTS: Final[dict[str, type[EntityFields]]] = {
    "sensor": SensorFields,
    "switch": SwitchFields,
}
