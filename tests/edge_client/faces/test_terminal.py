"""The terminal's view: what it shows, and what its keys do."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.faces.terminal import SETTLING, TerminalView, bar, line
from shared.architectures import architecture_of
from shared.errors import StorageError
from shared.task import DEFAULT_TASK
from shared.weights import digest, initial_weights
from tests.edge_client.device.calibrated import calibrated
from tests.edge_client.device.heard import frames, hear, recognised, use_weights, utterance

CONV = architecture_of("conv", DEFAULT_TASK)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        weights = initial_weights(CONV, np.random.default_rng(0))
        use_weights(device, weights, digest(weights, CONV))
        for seed in range(3):
            device.hear(utterance(seed))
        yield device


def following(device: Device, **more: Any) -> TerminalView:
    view = TerminalView(device, Console(), **more)
    device.subscribe(view._on_device)
    return view


def shown(view: TerminalView) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(view.picture())
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return] # a StringIO


def press(view: TerminalView, *keys: str) -> str:
    for key in keys:
        view.press(key)
    return shown(view)


def test_an_unsure_answer_is_called_so_until_there_is_another(tmp_path: Path) -> None:
    settings = DeviceSettings(state=tmp_path / "state", weights=calibrated(tmp_path))
    with Device(settings.model_copy(update={"unsure_below": 1.0})) as device:
        heard = hear(device)
        assert heard.predicted
        assert line(heard).endswith("  unsure")
        view = following(device)
        seen = shown(view)
        assert seen.count("unsure") == 2
        assert "unsure: below 100%. Of 8 such answers to people it had not heard, 2 were" in seen
        seen = press(view, "h")
        assert seen.count("unsure") == 1
    with Device(DeviceSettings(state=tmp_path / "other")) as device:
        assert "unsure" not in shown(following(device))
        assert not line(hear(device)).endswith("unsure")


def test_each_key_does_what_the_last_line_says(device: Device) -> None:
    view = following(device)
    assert "a: angry   h: happy   n: neutral   s: sad" in shown(view)
    press(view, "h")
    assert device.recent()[0].label == "happy"
    press(view, "u")
    assert device.recent()[0].label is None
    press(view, "enter")
    assert device.recent()[0].label == device.recent()[0].predicted
    press(view, "down", "s")
    assert [known.label for known in device.recent()][1] == "sad"
    press(view, "d")
    assert [known.identifier for known in device.recent()] == [3, 1]
    press(view, "u")
    assert [known.identifier for known in device.recent()] == [3, 2, 1]
    press(view, "p")
    assert device.paused
    assert "● paused" in shown(view)
    press(view, "p")
    assert not device.paused
    assert "nothing to undo" in press(view, *"uuuu")


def test_a_chosen_utterance_stays_chosen_when_another_is_heard(device: Device) -> None:
    view = following(device)
    shown(view)
    press(view, "down")
    device.hear(utterance(9))
    press(view, "n")
    assert [known.label for known in device.recent()] == [None, None, "neutral", None]


def test_a_key_pressed_just_when_something_is_heard_labels_nothing(device: Device) -> None:
    """It was meant for what was there before."""
    now = [0.0]
    view = following(device, clock=lambda: now[0])
    shown(view)
    press(view, "h")
    device.hear(utterance(9))
    shown(view)
    now[0] += SETTLING / 2
    for key in ("s", "enter", "d"):
        assert "press once more" in press(view, key)
    assert [known.label for known in device.recent()] == [None, "happy", None, None]
    press(view, "down", "n")  # whoever moves knows where
    assert device.recent()[1].label == "happy"
    now[0] += SETTLING
    press(view, "n", "up", "s")
    assert [known.label for known in device.recent()] == ["sad", "neutral", None, None]
    device.hear(utterance(10))
    press(view, "down")
    device.hear(utterance(11))
    shown(view)
    press(view, "a")
    assert device.recent()[1].label is None


def test_what_could_not_be_kept_is_shown_and_takes_no_answer(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise StorageError("The store is full.", "Give a larger one.")

    view = following(device)
    monkeypatch.setattr(device._store, "add", full)
    device.hear(utterance(9, 1.5))
    text = shown(view)
    assert "1.5 s" in text
    assert "not kept" in text
    assert "The store is full. Give a larger one." in text
    assert "could not be kept" in press(view, "s")
    assert "The store is full." in shown(view), "what a key said does not hide it"


def test_a_problem_is_shown_and_ends_nothing(device: Device) -> None:
    view = following(device)
    shown(view)
    device.delete_everything()
    assert "There is no utterance 3" in press(view, "h")
    assert press(view, "h", "d", "enter", "up", "?")


def test_it_shows_bars_counts_and_rounds(device: Device) -> None:
    view = following(device)
    device.correct(1, "sad")
    device.level = -50.0
    device.report("round", {"number": 3, "state": "training", "accepted": 2, "remark": ""})
    text = shown(view)
    assert "-50 dB" in text
    assert "sad 1" in text
    assert "unlabelled 2" in text
    assert "round 3, training, updates accepted: 2" in text
    assert text.count("%") == 12
    assert "conv " in text
    device.report("round", {"number": None, "state": "away", "accepted": 0, "remark": "No broker."})
    device.report("source", {"kind": "mic", "detail": "Ears.", "lost": False, "overruns": 2})
    text = shown(view)
    assert "federation, away, updates accepted: 0" in text
    assert "No broker." in text
    assert "Sound was lost 2 times." in text
    device.report("round", {"number": 3, "state": "waiting", "accepted": 2, "lacks": 5})
    text = shown(view)
    assert "round 3, waiting, updates accepted: 2, more of your answers needed: 5" in text
    device.report("round", {"state": "left", "remark": "The broker refuses kitchen."})
    text = shown(view)
    assert "federation, left\n" in "\n".join(map(str.rstrip, text.splitlines())) + "\n"
    assert "The broker refuses kitchen." in text


def eight(tmp_path: Path) -> Device:
    names = "angry,happy,neutral,sad,fearful,disgusted,surprised,calm"
    return Device(DeviceSettings.parse({"state": tmp_path / "eight", "labels": names}))


def test_eight_labels_have_keys_and_columns_where_there_is_room(tmp_path: Path) -> None:
    with eight(tmp_path) as device:
        shares = (0.02, 0.3, 0.03, 0.05, 0.1, 0.4, 0.04, 0.06)
        device._store.add(recognised(*shares, task=device.task), frames(1))
        view = TerminalView(device, Console(width=140))
        device.subscribe(view._on_device)
        text = shown(view)
        assert "a: angry   h: happy   n: neutral   s: sad   f: fearful   i: disgusted" in text
        assert text.count("%") == 8
        for key, name in zip("ahnsfirc", device.task.names, strict=True):
            press(view, key)
            assert device.recent()[0].label == name
        narrow = shown(TerminalView(device, Console(width=80)))
        assert "disgusted 40%  happy 30%  fearful 10%" in narrow
        assert narrow.count("%") == 3


def test_bars_are_as_long_as_their_share() -> None:
    assert bar(0, 4) == "    "
    assert bar(0.5, 4) == "██  "
    assert bar(1 / 32, 4) == "▏   "
    assert bar(2, 4) == "████"


def test_a_line_says_it_without_a_terminal() -> None:
    assert "happy     angry 10%  happy 60%  neutral 20%  sad 10%" in line(recognised())
