"""What is very short, very long or silent, heard by a device with the package's model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_client.device.listening import NOTHING
from shared.audio import RATE, Samples
from tests.edge_client.hearing.sound_server import SoundServer, in_a_room, sound_server
from tests.edge_client.hearing.sounds import noise
from tests.end_to_end.listening import (
    Terminal,
    at_terminal,
    clips,
    command,
    opened,
    run,
    state,
)

__all__ = ["at_terminal", "sound_server", "state"]

pytestmark = pytest.mark.usefixtures("environment")


def spoken(speech: Path, seconds: float) -> Samples:
    """Cut so much speech without pauses out of real clips, from the loudest place on."""
    loud = []
    for clip in clips(speech):
        level = np.convolve(np.square(clip), np.ones(800) / 800, "same")
        loud.append(clip[level > 1e-2 * level.max()])
    whole = np.resize(np.concatenate(loud), round(seconds * RATE))
    spoken: Samples = whole / np.float32(2 * np.abs(whole).max())
    return spoken


def lines(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize("silent", ["0.1 s", "silence", "a room"])
def test_what_is_no_utterance_is_said_to_be_none(speech: Path, state: Path, silent: str) -> None:
    sounds = {
        "0.1 s": in_a_room(spoken(speech, 0.1)),
        "silence": np.zeros(3 * RATE),
        "a room": noise(3, -60),
    }
    wav = state.with_name("sound.wav")
    soundfile.write(wav, sounds[silent], RATE)
    done = run("--wav", wav, "--fast", "--headless", "--state", state)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert NOTHING in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_tenth_of_a_second_is_recognised_where_that_is_asked_for(
    speech: Path, state: Path
) -> None:
    wav = state.with_name("sound.wav")
    soundfile.write(wav, in_a_room(spoken(speech, 0.1)), RATE)
    short = ("--shortest", "0.05", "--pre-roll", "0", "--hang-over", "0.2")
    done = run("--wav", wav, "--fast", "--headless", "--state", state, *short)
    (line,) = lines(done.stdout)
    assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert line["seconds"] < 0.6


def test_half_a_minute_comes_in_pieces_that_are_all_recognised(speech: Path, state: Path) -> None:
    wav = state.with_name("sound.wav")
    soundfile.write(wav, in_a_room(spoken(speech, 30)), RATE)
    done = run("--wav", wav, "--fast", "--headless", "--state", state)
    heard = lines(done.stdout)
    assert len(heard) >= 3
    assert all(line["emotion"] and line["seconds"] <= 10 for line in heard)
    assert 29 < sum(line["seconds"] for line in heard) < 33


def test_a_microphone_hears_nothing_of_a_click_and_all_that_is_too_long(
    sound_server: SoundServer, speech: Path, state: Path, at_terminal: Callable[..., Terminal]
) -> None:
    terminal = at_terminal(
        command("--mic", "--device", "pulse", "--state", state), sound_server.environment
    )
    terminal.until(lambda: "● listening" in terminal.seen)
    with opened(state) as store:
        sound_server.play(in_a_room(spoken(speech, 0.1)))
        sound_server.play(noise(2, -60))
        assert store.counts()["unlabelled"] == 0
        sound_server.play(in_a_room(spoken(speech, 13)))
        terminal.until(lambda: sum(one.seconds for one in store.recent(9)) > 12)
        assert all(one.probabilities for one in store.recent(9))
    terminal.press("q")
    terminal.until(lambda: terminal.process.poll() is not None)
