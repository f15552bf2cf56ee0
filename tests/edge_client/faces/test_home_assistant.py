"""What Home Assistant is told, through a real broker."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.faces.home_assistant import (
    BIRTH,
    Appearance,
    HomeAssistant,
    descriptions,
    remove,
    state,
)
from shared.architectures import architecture_of
from shared.errors import BrokerError
from shared.mqtt.connection import Connection
from shared.task import DEFAULT_TASK, PAPER34, Task, labels_of
from shared.weights import digest, initial_weights
from tests.brokers import Mosquitto, mosquitto, needs_mosquitto, wait_until
from tests.edge_client.device.heard import recognised, use_weights, utterance
from tests.edge_client.faces.documented import COMPONENTS, TOPIC

__all__ = ["mosquitto", "needs_mosquitto"]


KITCHEN = Appearance("kitchen", "chorus")


def test_name_and_federation_tell_devices_apart() -> None:
    known = [
        *(KITCHEN, Appearance("attic", "chorus"), Appearance("kitchen", "other")),
        *(Appearance("b-c", "a"), Appearance("c", "a-b")),
    ]
    described = [descriptions(one, DEFAULT_TASK) for one in known]
    topics = [topic for one in described for topic in one]
    assert len({*topics}) == len(topics)
    identifiers = [one["unique_id"] for each in described for one in each.values()]
    assert len({*identifiers}) == len(identifiers)
    assert len({one["device"]["name"] for each in described for one in each.values()}) == len(known)


def test_descriptions_say_what_home_assistant_asks_for() -> None:
    described = descriptions(KITCHEN, DEFAULT_TASK)
    emotion = described["homeassistant/sensor/chorus_chorus_kitchen/emotion/config"]
    assert emotion["device_class"] == "enum"
    assert emotion["options"] == list(DEFAULT_TASK.names)
    identifiers = {one["unique_id"] for one in described.values()}
    assert len(identifiers) == len(described) == 3
    for one in described.values():
        assert one["availability_topic"] == "chorus/chorus_chorus_kitchen/availability"
        assert one["device"]["identifiers"] == ["chorus_chorus_kitchen"]
        if "value_template" in one:
            assert one["state_topic"] == "chorus/chorus_chorus_kitchen/state"
            assert one["value_template"].startswith("{{ ")


@pytest.mark.parametrize("page", [None, "http://192.0.2.7:8765/"])
def test_descriptions_are_as_home_assistant_documents_them(page: str | None) -> None:
    shown_as = Appearance("kitchen", "chorus", "elsewhere/ha", page)
    components = []
    for topic, description in descriptions(shown_as, DEFAULT_TASK).items():
        found = TOPIC.fullmatch(topic.removeprefix("elsewhere/ha/"))
        assert found, topic
        read = COMPONENTS[found["component"]].model_validate(description)
        assert read.device.configuration_url == page
        components.append(found["component"])
    assert components == ["sensor", "sensor", "switch"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state_topic": "chorus/+/state"}, "should match pattern"),
        ({"origin": {}}, "Field required"),
        ({"device": {"name": "kitchen"}}, "Field required"),
        ({"statetopic": "x"}, "Extra inputs are not permitted"),
        ({"state_class": "measurement"}, "options go with no state_class"),
    ],
)
def test_what_is_not_documented_is_refused(change: dict[str, Any], problem: str) -> None:
    emotion = descriptions(KITCHEN, DEFAULT_TASK)[KITCHEN.description("sensor", "emotion")]
    with pytest.raises(ValidationError, match=problem):
        COMPONENTS["sensor"].model_validate(emotion | change)


def test_the_labels_of_another_task_are_the_options() -> None:
    task = Task(labels_of(("laughing", "crying", "shouting")), PAPER34)
    described = descriptions(KITCHEN, task)
    emotion = described[KITCHEN.description("sensor", "emotion")]
    assert emotion["options"] == ["laughing", "crying", "shouting"]
    # Fit for any labels; a home's history goes on with the identifier.
    named = (emotion["name"], emotion["unique_id"])
    assert named == ("Recognised", "chorus_chorus_kitchen_emotion")
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


def test_it_appears_and_goes_by_itself(mosquitto: Mosquitto, tmp_path: Path) -> None:
    messages: dict[str, bytes] = {}
    home = onlooker(mosquitto, "home", messages)
    wait_until(lambda: home.connected, "Home Assistant is connected")
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        conv = architecture_of("conv", DEFAULT_TASK)
        weights = initial_weights(conv, np.random.default_rng(0))
        use_weights(device, weights, digest(weights, conv))
        publisher = HomeAssistant(device, mosquitto.settings, KITCHEN)
        available, told = KITCHEN.topic("availability"), KITCHEN.topic("state")
        wait_until(lambda: messages.get(available) == b"online", "it is there")
        expected = descriptions(KITCHEN, DEFAULT_TASK)
        paused = KITCHEN.topic("pause")
        wait_until(lambda: paused in messages, "all is described")
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
    wait_until(lambda: len(late) == 5, "what the broker retains has come")
    newcomer.close()
    assert late.keys() == {*expected, available, paused}, "the emotion is not retained"


def test_a_broker_that_is_away_is_said_until_it_is_there(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.kill()
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        publisher = HomeAssistant(device, mosquitto.settings, KITCHEN)
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
        publishers = [HomeAssistant(one, mosquitto.settings, KITCHEN) for one in (first, second)]
        said = "a second device is called kitchen"
        wait_until(lambda: said in (first.problem or ""), "it is said")
        attic = Appearance("attic", "chorus")
        assert attic.node == "chorus_chorus_attic"
        publishers.append(HomeAssistant(third, mosquitto.settings, attic))
        assert third.problem is None
        for publisher in publishers:
            publisher.close()


def test_it_pauses_and_listens_as_its_switch_says(mosquitto: Mosquitto, tmp_path: Path) -> None:
    messages: dict[str, bytes] = {}
    home = onlooker(mosquitto, "home", messages)
    wait_until(lambda: home.connected, "Home Assistant is connected")
    paused = KITCHEN.topic("pause")
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        publisher = HomeAssistant(device, mosquitto.settings, KITCHEN)
        wait_until(lambda: messages.get(paused) == b"OFF", "it listens")
        for nonsense in (b"on", b"", b"\xff" * 100):
            home.publish(f"{paused}/set", nonsense)
        home.publish(f"{paused}/set", b"ON")
        wait_until(lambda: messages.get(paused) == b"ON", "it says that it is paused")
        assert device.paused
        device.resume()
        wait_until(lambda: messages.get(paused) == b"OFF", "its person has resumed")
        home.publish(f"{paused}/set", b"ON")
        wait_until(lambda: device.paused, "it is paused")
        home.publish(f"{paused}/set", b"OFF")
        wait_until(lambda: not device.paused, "it listens again")
        publisher.close()
    home.close()


def test_what_the_broker_keeps_of_it_is_removed_and_of_others_it_is_not(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    known = KITCHEN, Appearance("kitchen", "other"), Appearance("kitchen", "chorus", "elsewhere")
    for number, one in enumerate(known):
        with Device(DeviceSettings(state=tmp_path / str(number))) as device:
            publisher = HomeAssistant(device, mosquitto.settings, one)
            publisher_is_there(mosquitto, one)
            publisher.close()
    gone = removed(tmp_path / "0", mosquitto)
    assert gone.returncode == 0, gone.stderr
    asks, says = gone.stderr.splitlines()
    assert asks.endswith("to forget chorus_chorus_kitchen; it has 20 s."), "before it waits"
    assert "keeps nothing of chorus_chorus_kitchen any more" in says
    remove(mosquitto.settings, known[2])
    remove(mosquitto.settings, KITCHEN)  # once more is no harm
    late: dict[str, bytes] = {}
    newcomer = onlooker(mosquitto, "newcomer", late)
    other = known[1]
    wait_until(lambda: len(late) == 5, "what the broker retains has come")
    newcomer.close()
    assert late.keys() == {
        *descriptions(other, DEFAULT_TASK),
        other.topic("availability"),
        other.topic("pause"),
    }


def publisher_is_there(broker: Mosquitto, one: Appearance) -> None:
    """Wait until a device has said all that the broker keeps."""
    messages: dict[str, bytes] = {}
    looker = onlooker(broker, "looker", messages)
    wait_until(lambda: one.topic("pause") in messages, "it is there")
    looker.close()


def test_a_broker_that_is_away_or_a_device_that_runs_is_said(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    mosquitto.kill()
    with pytest.raises(BrokerError, match="has not removed all of chorus_chorus_kitchen"):
        remove(mosquitto.settings, KITCHEN, patience=0.2)
    lost = removed(tmp_path, None)
    assert lost.returncode == 2
    assert "It is not known where Home Assistant's broker is." in lost.stderr
    with Device(DeviceSettings(state=tmp_path)):
        runs = removed(tmp_path, mosquitto)
    assert runs.returncode == 13
    assert "Another edge-client is running" in runs.stderr


def removed(state: Path, broker: Mosquitto | None) -> "subprocess.CompletedProcess[str]":
    """Run the command that lets Home Assistant forget the kitchen."""
    line = [str(Path(sys.executable).with_name("edge-client")), "home-assistant", "remove"]
    line += ["--state", str(state), "--client", "kitchen"]
    if broker:
        line += ["--home-assistant", "{}:{}".format(*broker.settings.address)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
