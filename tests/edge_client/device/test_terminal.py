"""The terminal's view: what it shows, and what its keys do."""

import io
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edge_client.device.device import Device
from edge_client.device.keys import Keys
from edge_client.device.settings import DeviceSettings
from edge_client.device.terminal import TerminalView, bar, line
from shared.architectures import ARCHITECTURES
from shared.weights import digest, initial_weights
from tests.edge_client.device.heard import recognised, utterance

CONV = ARCHITECTURES["conv"]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(DeviceSettings(state=tmp_path / "state")) as device:
        weights = initial_weights(CONV, np.random.default_rng(0))
        device.use_weights(weights, digest(weights))
        for seed in range(3):
            device.hear(utterance(seed))
        yield device


def shown(view: TerminalView) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(view.picture())
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return] # a StringIO


def press(view: TerminalView, *keys: str) -> str:
    for key in keys:
        view.press(key)
    return shown(view)


def test_each_key_does_what_the_last_line_says(device: Device) -> None:
    view = TerminalView(device, Console())
    assert "a: angry   h: happy   n: neutral   s: sad" in shown(view)
    press(view, "h")
    assert device.recent()[0].label == "happy"
    press(view, "u")
    assert device.recent()[0].label is None
    press(view, "enter")
    assert device.recent()[0].label == device.recent()[0].emotion
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
    assert "nothing to take back" in press(view, *"uuuu")


def test_a_chosen_utterance_stays_chosen_when_another_is_heard(device: Device) -> None:
    view = TerminalView(device, Console())
    shown(view)
    press(view, "down")
    device.hear(utterance(9))
    press(view, "n")
    assert [known.label for known in device.recent()] == [None, None, "neutral", None]


def test_a_problem_is_shown_and_ends_nothing(device: Device) -> None:
    view = TerminalView(device, Console())
    shown(view)
    device.delete_everything()
    assert "There is no utterance 3" in press(view, "h")
    assert press(view, "h", "d", "enter", "up", "?")


def test_it_shows_bars_counts_and_rounds(device: Device) -> None:
    view = TerminalView(device, Console())
    device.correct(1, "sad")
    device.level = -50.0
    device.report("round", {"number": 3, "step": "training"})
    text = shown(view)
    assert "-50 dB" in text
    assert "sad 1" in text
    assert "unlabelled 2" in text
    assert "round: number 3, step training" in text
    assert text.count("%") == 12
    assert device.weights() is not None
    assert "conv " in text


def test_bars_are_as_long_as_their_share() -> None:
    assert bar(0, 4) == "    "
    assert bar(0.5, 4) == "██  "
    assert bar(1 / 32, 4) == "▏   "
    assert bar(2, 4) == "████"


def test_a_line_says_it_without_a_terminal() -> None:
    assert "happy     angry 10%  happy 60%  neutral 20%  sad 10%" in line(recognised())


def test_keys_are_read_one_by_one_and_the_terminal_is_left_as_it_was() -> None:
    import termios

    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with Keys(theirs) as keys:
        assert keys.get(0) is None
        os.write(ours, b"h\x1b[A\x1b[B\n\x1b[6~u")
        assert [keys.get(5) for _ in range(4)] == ["h", "up", "down", "enter"]
        assert keys.get(5) not in ("up", "down", "enter")
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
