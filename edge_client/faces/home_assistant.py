"""What a device recognises, as sensors of Home Assistant, over a broker of one's own network.

Home Assistant finds the sensors by itself, by its MQTT discovery
(https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery): two retained descriptions below
``homeassistant/sensor/``. What was recognised is published below ``chorus/`` and not retained: the
broker should not go on telling how somebody feels.
"""

import json
import re
import socket
from importlib.metadata import version
from typing import Any, Final

from edge_client.device.device import Device, DeviceEvent
from edge_client.device.stored_utterance import StoredUtterance
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection
from shared.task import Task

BIRTH: Final = "homeassistant/status"
"""Home Assistant says ``online`` here when it has started, and wants the descriptions again."""

_ONLINE, _OFFLINE = b"online", b"offline"


class HomeAssistant:
    """Publishes a device's recognitions for as long as the context lasts.

    A broker that is away is waited for; what is recognised meanwhile is not published later.

    Parameters
    ----------
    device
        Whose.
    broker
        Home Assistant's broker.
    client
        The device's name; the host's if not given.
    """

    def __init__(self, device: Device, broker: BrokerSettings, client: str | None = None) -> None:
        self._device = device
        self.node = node_of(client or socket.gethostname())
        self._was_connected = False
        self._connection = Connection(
            broker,
            self.node,
            subscriptions=[BIRTH],
            will=(f"chorus/{self.node}/availability", _OFFLINE),
            on_message=self._on_message,
            on_change=self._on_change,
        )
        self._unsubscribe = device.subscribe(self._on_event)
        self._connection.start()

    def close(self) -> None:
        """Say that the device is away, and leave."""
        self._unsubscribe()
        self._connection.publish(f"chorus/{self.node}/availability", _OFFLINE, retain=True)
        self._connection.close()

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == BIRTH and payload == _ONLINE:
            self._describe()

    def _on_change(self, connected: bool, sentence: str) -> None:  # noqa: FBT001 - as Connection calls it
        before, self._was_connected = self._was_connected, connected
        if connected:
            self._device.say("home_assistant", None)
            self._describe()
            return
        del sentence  # its remedy is that of a federation's broker
        refused = self._connection.refused
        problem = "Its broker cannot be reached; trying again."
        if refused:
            problem = refused.problem
        elif before:
            problem = (
                "The connection to its broker was lost; trying again. If this repeats, look "
                f"whether a second device is called {self.node}: --client names this one."
            )
        self._device.say("home_assistant", f"Home Assistant: {problem}")

    def _describe(self) -> None:
        for topic, description in descriptions(self.node, self._device.task).items():
            self._connection.publish(topic, json.dumps(description).encode(), retain=True)
        self._connection.publish(f"chorus/{self.node}/availability", _ONLINE, retain=True)

    def _on_event(self, event: DeviceEvent) -> None:
        if event.kind == "heard" and event.recognition and event.recognition.probabilities:
            payload = json.dumps(state(event.recognition)).encode()
            # The listening must not wait for a network that stands still.
            self._connection.publish(f"chorus/{self.node}/state", payload, wait=False)


def node_of(name: str) -> str:
    """Make of a name what Home Assistant takes in topics and identifiers."""
    return "chorus_" + (re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "device")


def descriptions(node: str, task: Task) -> dict[str, dict[str, Any]]:
    """Describe the two sensors, by the topics that their descriptions belong to."""
    common = {
        "state_topic": f"chorus/{node}/state",
        "availability_topic": f"chorus/{node}/availability",
        "device": {
            "identifiers": [node],
            "name": node.replace("_", " ").title(),
            "manufacturer": "Chorus",
            "model": "chorus-edge",
            "sw_version": version("chorus-edge"),
        },
        "origin": {"name": "chorus-edge", "sw_version": version("chorus-edge")},
    }
    # Its identifier and topics have been "emotion" from the beginning: they tie a home's history to
    # it, whatever the labels are.
    recognised = {
        "name": "Recognised",
        "unique_id": f"{node}_emotion",
        "device_class": "enum",
        "options": list(task.names),
        "value_template": "{{ value_json.emotion }}",
        "json_attributes_topic": f"chorus/{node}/state",
        "icon": "mdi:account-voice",
    }
    confidence = {
        "name": "Confidence",
        "unique_id": f"{node}_confidence",
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "value_template": "{{ (100 * value_json.confidence) | round }}",
        "icon": "mdi:gauge",
    }
    return {
        f"homeassistant/sensor/{node}/emotion/config": recognised | common,
        f"homeassistant/sensor/{node}/confidence/config": confidence | common,
    }


def state(heard: StoredUtterance) -> dict[str, Any]:
    """Give what is published of an utterance: no sound, no features, no speaker."""
    return {
        "emotion": heard.predicted,
        "unsure": heard.unsure,
        "confidence": round(max(heard.shares.values()), 4),
        "probabilities": {name: round(p, 4) for name, p in heard.shares.items()},
        "seconds": round(heard.seconds, 2),
        "heard_at": heard.heard_at.isoformat(timespec="seconds"),
    }
