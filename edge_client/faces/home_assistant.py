"""A device in Home Assistant, over a broker of one's own network: two sensors, and a switch.

Home Assistant finds them by itself, by its MQTT discovery
(https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery): retained descriptions below
``homeassistant/``. What was recognised is published below ``chorus/`` and not retained: the broker
should not go on telling how somebody feels.
"""

import json
import threading
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from edge_client.device.device import Device, DeviceEvent
from edge_client.device.stored_utterance import StoredUtterance
from shared.errors import BrokerError
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection
from shared.task import DEFAULT_TASK, Task

BIRTH: Final = "homeassistant/status"
"""Home Assistant says ``online`` here when it has started, and wants the descriptions again."""

PATIENCE: Final = 20.0
"""Seconds that a broker has to forget a device."""

_ONLINE, _OFFLINE = b"online", b"offline"
_ON, _OFF = b"ON", b"OFF"


@dataclass(frozen=True, slots=True)
class Appearance:
    """As what a device appears.

    Attributes
    ----------
    name, federation
        The device's name, and the federation in which it is called so: both together tell it from
        all others.
    prefix
        Under which topic Home Assistant looks for devices.
    page
        Address of the device's page; ``None`` if it has none that others reach.
    """

    name: str
    federation: str
    prefix: str = "homeassistant"
    page: str | None = None

    @property
    def node(self) -> str:
        """Its identifier; no name has a ``_`` in it, so no two are the same."""
        return f"chorus_{self.federation}_{self.name}"

    def topic(self, what: str) -> str:
        """Name the topic of something that it says, or is told."""
        return f"chorus/{self.node}/{what}"

    def description(self, component: str, what: str) -> str:
        """Name the topic of the description of an entity."""
        return f"{self.prefix}/{component}/{self.node}/{what}/config"


class HomeAssistant:
    """Publishes a device's recognitions for as long as the context lasts.

    A broker that is away is waited for; what is recognised meanwhile is not published later.

    Parameters
    ----------
    device
        Whose.
    broker
        Home Assistant's broker.
    shown_as
        As what it appears.
    """

    def __init__(self, device: Device, broker: BrokerSettings, shown_as: Appearance) -> None:
        self._device = device
        self._shown_as = shown_as
        self._was_connected = False
        self._told_paused: bool | None = None
        self._connection = Connection(
            broker,
            shown_as.node,
            subscriptions=[BIRTH, shown_as.topic("pause/set")],
            will=(shown_as.topic("availability"), _OFFLINE),
            on_message=self._on_message,
            on_change=self._on_change,
        )
        self._unsubscribe = device.subscribe(self._on_event)
        self._connection.start()

    def close(self) -> None:
        """Say that the device is away, and leave."""
        self._unsubscribe()
        self._say("availability", _OFFLINE)
        self._connection.close()

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == BIRTH and payload == _ONLINE:
            self._describe()
        elif topic == self._shown_as.topic("pause/set") and payload in (_ON, _OFF):
            self._device.pause() if payload == _ON else self._device.resume()

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
                f"whether a second device is called {self._shown_as.name}: --client names this one."
            )
        self._device.say("home_assistant", f"Home Assistant: {problem}")

    def _describe(self) -> None:
        for topic, description in descriptions(self._shown_as, self._device.task).items():
            self._connection.publish(topic, json.dumps(description).encode(), retain=True)
        self._say("availability", _ONLINE)
        self._say_paused()

    def _say_paused(self) -> None:
        paused = self._device.paused
        if self._connection.connected:
            self._told_paused = paused
            self._say("pause", _ON if paused else _OFF)

    def _say(self, what: str, payload: bytes) -> None:
        self._connection.publish(self._shown_as.topic(what), payload, retain=True, wait=False)

    def _on_event(self, event: DeviceEvent) -> None:
        if event.kind == "heard" and event.recognition and event.recognition.probabilities:
            payload = json.dumps(state(event.recognition)).encode()
            # The listening must not wait for a network that stands still.
            self._connection.publish(self._shown_as.topic("state"), payload, wait=False)
        elif event.kind == "status" and self._device.paused != self._told_paused:
            self._say_paused()


def descriptions(shown_as: Appearance, task: Task) -> dict[str, dict[str, Any]]:
    """Describe the entities, by the topics that their descriptions belong to."""
    node, ours = shown_as.node, version("chorus-edge")
    device = {
        "identifiers": [node],
        "name": f"{shown_as.name} ({shown_as.federation})",
        "manufacturer": "Chorus",
        "model": "chorus-edge",
        "sw_version": ours,
    }
    if shown_as.page:
        device["configuration_url"] = shown_as.page
    common = {
        "availability_topic": shown_as.topic("availability"),
        "device": device,
        "origin": {"name": "chorus-edge", "sw_version": ours},
    }
    # Its identifier and topics have been "emotion" from the beginning, whatever the labels are.
    recognised = {
        "name": "Recognised",
        "unique_id": f"{node}_emotion",
        "state_topic": shown_as.topic("state"),
        "device_class": "enum",
        "options": list(task.names),
        "value_template": "{{ value_json.emotion }}",
        "json_attributes_topic": shown_as.topic("state"),
        "icon": "mdi:account-voice",
    }
    confidence = {
        "name": "Confidence",
        "unique_id": f"{node}_confidence",
        "state_topic": shown_as.topic("state"),
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "value_template": "{{ (100 * value_json.confidence) | round }}",
        "icon": "mdi:gauge",
    }
    pause = {
        "name": "Pause",
        "unique_id": f"{node}_pause",
        "state_topic": shown_as.topic("pause"),
        "command_topic": shown_as.topic("pause/set"),
        "icon": "mdi:microphone-off",
    }
    return {
        shown_as.description("sensor", "emotion"): recognised | common,
        shown_as.description("sensor", "confidence"): confidence | common,
        shown_as.description("switch", "pause"): pause | common,
    }


def remove(broker: BrokerSettings, shown_as: Appearance, patience: float = PATIENCE) -> None:
    """Take back all that a broker keeps of a device, so that Home Assistant forgets it.

    Parameters
    ----------
    broker
        Home Assistant's broker.
    shown_as
        The device; it must not run.
    patience
        Seconds that the broker has.

    Raises
    ------
    BrokerError
        If the broker does not let this device in, or has not confirmed it in time.
    """
    left = {*descriptions(shown_as, DEFAULT_TASK), *map(shown_as.topic, ("availability", "pause"))}
    over, told = threading.Event(), ["it cannot be reached"]

    def hear(topic: str, payload: bytes) -> None:
        if not payload:
            left.discard(topic)
        if not left:
            over.set()

    def change(connected: bool, sentence: str) -> None:  # noqa: FBT001 - as Connection calls it
        told[:] = [sentence]
        if connected:
            for topic in sorted(left):
                # What is retained ends with an empty message, which comes back to us, too.
                connection.publish(topic, b"", retain=True)
        elif connection.refused:
            over.set()

    connection = Connection(
        broker, shown_as.node, subscriptions=sorted(left), on_message=hear, on_change=change
    )
    connection.start()
    over.wait(patience)
    connection.close()
    if refused := connection.refused:
        raise BrokerError(refused.problem, refused.remedy)
    if left:
        host, port = broker.address
        raise BrokerError(
            f"The broker {host}:{port} has not removed all of {shown_as.node}: {told[0]}",
            "Look whether it runs, and lets this device read and write these topics; then again.",
        )


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
