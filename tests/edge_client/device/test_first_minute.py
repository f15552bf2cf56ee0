"""The first minute: what a device asks for, and what it shows of getting to know somebody."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.device import archive
from edge_client.device.device import Device, DeviceEvent
from edge_client.device.first_minute import WANTED, FirstMinute
from edge_client.device.settings import DeviceSettings
from edge_client.faces.terminal import first_minute
from edge_client.hearing.utterance import Utterance
from edge_client.settings import RunSettings
from shared.architectures import architecture_of
from shared.audio import RATE
from shared.features.prior import Prior, save_prior
from shared.starter import beside
from shared.task import Task, labels_of
from shared.weights import digest, save_weights
from tests.edge_client.device.heard import hear, use_weights
from tests.edge_client.device.pooled import NAME, POOLED

LABELS = ["angry", "happy", "neutral", "sad"]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Start a new device with nothing chosen: it begins with the starter."""
    with Device(settings_of(tmp_path / "state")) as device:
        yield device


def settings_of(state: Path) -> DeviceSettings:
    return RunSettings.parse({"mic": True, "state": state}).begun().part(DeviceSettings)


def facts(device: Device) -> Any:
    return device.status()["first_minute"]


def test_four_utterances_are_asked_for_and_counted_while_it_recognises(device: Device) -> None:
    with closing(FirstMinute(device)):
        assert facts(device) == {"heard": 0, "wanted": 4, "changed": [], "unknown": LABELS}
        for number in range(1, 7):
            assert hear(device, number).probabilities is not None
            assert facts(device)["heard"] == min(number, WANTED)


def test_what_would_be_recognised_otherwise_by_now_is_shown(tmp_path: Path) -> None:
    task = Task(labels_of(("angry", "sad")), POOLED.shape)
    loud_is_angry = np.array([*[1, -1] * 6, 0, 0], np.float32)
    file = tmp_path / "loudness.safetensors"
    save_weights(file, loud_is_angry, architecture_of("head", task))
    save_prior(beside(file, "prior"), Prior(np.full(6, 0.1), np.full(6, 0.1), 4), task)
    given = {"mic": True, "state": tmp_path / "state", "weights": file, "front_end": NAME}
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    with (
        Device(RunSettings.parse(given).begun().part(DeviceSettings)) as device,
        closing(FirstMinute(device)),
    ):
        first = device.hear(Utterance(0.2 * noise, 0.0))
        assert first
        assert (first.predicted, facts(device)["changed"]) == ("angry", [])
        for _ in range(WANTED - 1):
            device.hear(Utterance(0.9 * noise, 0.0))
        (changed,) = facts(device)["changed"]
        assert (changed["identifier"], changed["before"], changed["now"]) == (1, "angry", "sad")
        assert device.recent()[-1].predicted == "angry", "what was recognised then is kept"


def test_a_model_that_overflows_changes_nothing_that_is_shown(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    task = device.task
    architecture = architecture_of("head", task)
    huge = np.full(architecture.parameters, 1e38, np.float32)
    with closing(FirstMinute(device)):
        before = hear(device)
        use_weights(device, huge, digest(huge, architecture), architecture)
        assert hear(device, 1).probabilities is None
        assert (facts(device)["heard"], facts(device)["changed"]) == (2, [])
    assert "Traceback" not in caplog.text
    assert "its weights are too large" in (device.problem or "")
    assert before.probabilities is not None


def test_recognising_anew_takes_nothing_in(device: Device) -> None:
    first = hear(device)
    before = device.recognising.statistics()
    device.recognised_now([first.identifier, 99])
    assert device.recognising.statistics() == before


def test_what_it_does_not_know_yet_grows_less_with_each_answer(device: Device) -> None:
    with closing(FirstMinute(device)):
        heard = hear(device)
        device.correct(heard.identifier, "sad")
        assert facts(device)["unknown"] == ["angry", "happy", "neutral"]
        device.undo()
        assert facts(device)["unknown"] == LABELS


def test_it_goes_on_after_a_restart_and_asks_nobody_whom_it_knows(device: Device) -> None:
    with closing(FirstMinute(device)):
        hear(device)
    with closing(FirstMinute(device)):
        assert facts(device)["heard"] == 1
        for seed in range(1, WANTED):
            hear(device, seed)
    with closing(FirstMinute(device)):
        assert facts(device) is None


def test_it_begins_anew_when_everything_was_deleted(device: Device) -> None:
    for seed in range(WANTED):
        hear(device, seed)
    with closing(FirstMinute(device)):
        device.delete_everything()
        assert facts(device)["heard"] == 0


def test_nothing_is_asked_for_without_a_model_or_without_statistics(tmp_path: Path) -> None:
    for given in ({"labels": "laughing,crying"}, {"normalisation": "none"}):
        values = {"mic": True, "state": tmp_path / str(len(given)), **given}
        settings = RunSettings.parse({**values, "state": tmp_path / "-".join(given)}).begun()
        with (
            Device(settings.part(DeviceSettings)) as device,
            closing(FirstMinute(device)),
        ):
            assert facts(device) is None


def test_who_is_told_of_an_utterance_finds_it_counted(device: Device) -> None:
    counted = []

    def note(event: DeviceEvent) -> None:
        if event.kind == "heard":
            counted.append(facts(device)["heard"])

    with closing(FirstMinute(device)):
        device.subscribe(note)
        hear(device)
        hear(device, 1)
    assert counted == [1, 2]


def test_a_terminal_says_it_in_words() -> None:
    begins = {"heard": 0, "wanted": 4, "changed": [], "unknown": LABELS}
    assert first_minute(begins) == [
        "Say 4 things, whatever you like: I get to know your voice and this room.",
        "I do not know yet how you sound angry, happy, neutral or sad: tell me when I am wrong.",
    ]
    changed = {"heard_at": "2026-01-02T12:00:00.000+00:00", "before": "sad", "now": "happy"}
    going = first_minute({**begins, "heard": 2, "changed": [changed], "unknown": []})
    assert going[0] == "Heard 2 of 4: go on, I get to know your voice."
    assert going[1].endswith(":00:00 was happy, not sad.")
    over = first_minute({**begins, "heard": 4, "unknown": ["sad"]})
    assert over == [
        "Now I go by your own voice and this room.",
        "I do not know yet how you sound sad: tell me when I am wrong.",
    ]


def test_what_was_imported_was_not_heard(device: Device, tmp_path: Path) -> None:
    """Others' examples tell nothing of this voice and this room."""
    with Device(settings_of(tmp_path / "other")) as other:
        for seed in range(WANTED + 1):
            other.correct(hear(other, seed).identifier, "sad")
        archive.export(other._store, tmp_path / "theirs.npz")
    hear(device)
    archive.import_(device._store, tmp_path / "theirs.npz")
    with closing(FirstMinute(device)):
        assert facts(device)["heard"] == 1
