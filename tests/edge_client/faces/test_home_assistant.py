"""What Home Assistant is told, through a real broker."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.faces.home_assistant import BIRTH, HomeAssistant, descriptions, node_of, state
from shared.architectures import architecture_of
from shared.mqtt.connection import Connection
from shared.task import DEFAULT_TASK, PAPER34, Task, labels_of
from shared.weights import digest, initial_weights
from tests.brokers import Mosquitto, mosquitto, needs_mosquitto, wait_until
from tests.edge_client.device.heard import recognised, utterance

__all__ = ["mosquitto", "needs_mosquitto"]


def test_names_become_what_topics_may_hold() -> None:
    assert node_of("Kitchen Pi/2+#") == "chorus_kitchen_pi_2"
    assert node_of("Küche") == "chorus_k_che"
    assert node_of("+#") == "chorus_device"


def test_descriptions_say_what_home_assistant_asks_for() -> None:
    described = descriptions("chorus_pi", DEFAULT_TASK)
    emotion = described["homeassistant/sensor/chorus_pi/emotion/config"]
    assert emotion["device_class"] == "enum"
    assert emotion["options"] == list(DEFAULT_TASK.names)
    identifiers = {one["unique_id"] for one in described.values()}
    assert len(identifiers) == len(described) == 2
    for one in described.values():
        assert one["state_topic"] == "chorus/chorus_pi/state"
        assert one["availability_topic"] == "chorus/chorus_pi/availability"
        assert one["device"]["identifiers"] == ["chorus_pi"]
        assert one["value_template"].startswith("{{ ")


def test_the_labels_of_another_task_are_the_options() -> None:
    task = Task(labels_of(("laughing", "crying", "shouting")), PAPER34)
    described = descriptions("chorus_pi", task)
    emotion = described["homeassistant/sensor/chorus_pi/emotion/config"]
    assert emotion["options"] == ["laughing", "crying", "shouting"]
    # Fit for any labels; a home's history goes on with the identifier.
    assert (emotion["name"], emotion["unique_id"]) == ("Recognised", "chorus_pi_emotion")
    published = state(recognised(0.25, 0.5, 0.25, task=task))
    assert published["emotion"] == "crying"
    assert published["probabilities"] == {"laughing": 0.25, "crying": 0.5, "shouting": 0.25}


def test_no_more_is_published_than_what_was_recognised() -> None:
    published = state(recognised())
    told = {"emotion", "unsure", "confidence", "probabilities", "seconds", "heard_at"}
    assert published.keys() == told
    assert (published["emotion"], published["confidence"]) == ("happy", 0.6)


def test_an_unsure_answer_is_called_so_beside_its_label() -> None:
    assert state(recognised())["unsure"] is False
    published = state(replace(recognised(), unsure=True))
    assert (published["emotion"], published["unsure"]) == ("happy", True)


def onlooker(broker: Mosquitto, name: str, messages: dict[str, bytes]) -> Connection:
    """Connect, and note the last message of each topic."""
    connection = Connection(
        broker.settings,
        name,
        subscriptions=["homeassistant/#", "chorus/#"],
        on_message=messages.__setitem__,
        on_change=lambda *_: None,
    )
    connection.start()
    return connection


def test_it_appears_and_goes_by_itself(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Pi")
    messages: dict[str, bytes] = {}
    home = onlooker(mosquitto, "home", messages)
    wait_until(lambda: home.connected, "Home Assistant is connected")
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        conv = architecture_of("conv", DEFAULT_TASK)
        weights = initial_weights(conv, np.random.default_rng(0))
        device.use_weights(weights, digest(weights, conv))
        publisher = HomeAssistant(device, mosquitto.settings)
        available, told = "chorus/chorus_pi/availability", "chorus/chorus_pi/state"
        wait_until(lambda: messages.get(available) == b"online", "it is there")
        expected = descriptions("chorus_pi", DEFAULT_TASK)
        assert {topic: json.loads(messages[topic]) for topic in expected} == expected
        heard = device.hear(utterance())
        assert heard is not None
        wait_until(lambda: told in messages, "the utterance is published")
        assert json.loads(messages[told])["emotion"] == heard.predicted
        messages.clear()
        home.publish(BIRTH, b"online")
        wait_until(lambda: expected.keys() <= messages.keys(), "it describes itself again")
        messages.clear()
        publisher.close()
        wait_until(lambda: messages.get(available) == b"offline", "it has said good-bye")
    home.close()
    late: dict[str, bytes] = {}
    newcomer = onlooker(mosquitto, "newcomer", late)
    wait_until(lambda: len(late) == 3, "what the broker retains has come")
    newcomer.close()
    assert late.keys() == {*expected, available}, "the emotion is not retained"


def test_a_broker_that_is_away_is_said_until_it_is_there(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.kill()
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        publisher = HomeAssistant(device, mosquitto.settings)
        wait_until(lambda: device.problem, "it is said")
        assert device.problem == "Home Assistant: Its broker cannot be reached; trying again."
        mosquitto.start()
        wait_until(lambda: device.problem is None, "it is there")
        publisher.close()


def test_two_devices_of_one_host_are_told_apart_by_their_names(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    with (
        Device(DeviceSettings(state=tmp_path / "a")) as first,
        Device(DeviceSettings(state=tmp_path / "b")) as second,
        Device(DeviceSettings(state=tmp_path / "c")) as third,
    ):
        publishers = [HomeAssistant(one, mosquitto.settings, "kitchen") for one in (first, second)]
        said = "a second device is called chorus_kitchen"
        wait_until(lambda: said in (first.problem or ""), "it is said")
        publishers.append(HomeAssistant(third, mosquitto.settings, "attic"))
        assert publishers[-1].node == "chorus_attic"
        assert third.problem is None
        for publisher in publishers:
            publisher.close()
