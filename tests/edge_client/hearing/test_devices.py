"""Microphones are found by number and name; each reason why one cannot be had has its remedy."""

import ctypes.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edge_client.commands.devices import devices
from edge_client.hearing.devices import cannot_open, find_input, list_inputs
from edge_client.hearing.microphone import Microphone
from shared.errors import ChorusError, MissingPartError, SettingsError
from tests.brokers import BOUND
from tests.edge_client.hearing.fake_portaudio import FakePortAudio, PortAudioError, portaudio

__all__ = ["portaudio"]

APP = typer.Typer()
APP.command()(devices)


@pytest.fixture
def three(portaudio: FakePortAudio) -> FakePortAudio:
    portaudio.plug("bcm2835 Headphones: - (hw:0,0)", channels=0)
    portaudio.plug("USB PnP Sound Device: Audio (hw:1,0)", rate=48_000)
    portaudio.plug("USB Camera: Audio (hw:2,0)", channels=2, rate=44_100)
    return portaudio


@pytest.mark.usefixtures("three")
def test_inputs_are_listed_and_one_is_the_default() -> None:
    assert [(device.index, device.default) for device in list_inputs()] == [(1, True), (2, False)]
    result = CliRunner().invoke(APP, [])
    lines = result.stdout.splitlines()
    assert lines[0] == "*  1  USB PnP Sound Device: Audio (hw:1,0)  (ALSA, channels: 1, 48000 Hz)"
    assert lines[1].startswith("   2  USB Camera")
    listed = json.loads(CliRunner().invoke(APP, ["--json"]).stdout)
    assert [device["rate"] for device in listed] == [48_000, 44_100]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("wanted", "index"),
    [(None, 1), (2, 2), ("2", 2), ("camera", 2), ("USB PnP Sound Device: Audio", 1)],
)
def test_a_microphone_is_found_by_number_or_name(wanted: str | int | None, index: int) -> None:
    assert find_input(wanted).index == index


@pytest.mark.usefixtures("three")
def test_a_microphone_that_is_not_there_or_not_clear_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no microphone 'studio'; there are 1 "):
        find_input("studio")
    with pytest.raises(SettingsError, match="no microphone 0"):
        find_input(0)
    with pytest.raises(SettingsError, match="More than one microphone has a name with 'usb'"):
        find_input("usb")


def test_no_microphone_is_said_with_its_mend(portaudio: FakePortAudio) -> None:
    assert not portaudio.devices
    for find in (lambda: find_input(None), lambda: next(Microphone().blocks())):
        with pytest.raises(MissingPartError, match="has no microphone") as caught:
            find()
        assert "Plug one in" in caught.value.remedy
    assert isinstance(CliRunner().invoke(APP, []).exception, MissingPartError)
    assert json.loads(CliRunner().invoke(APP, ["--json"]).stdout) == []


@pytest.mark.usefixtures("portaudio")
def test_sound_cards_that_this_user_may_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pcmC1D0c").touch()
    monkeypatch.setattr("edge_client.hearing.devices.SOUND_CARDS", tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(MissingPartError, match="permission denied") as caught:
        find_input(None)
    assert "usermod -aG audio" in caught.value.remedy


def test_without_the_portaudio_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # This is how the real module fails.
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPartError) as caught:
        list_inputs()
    assert caught.value.remedy == "Install it: sudo apt install libportaudio2"


def test_a_portaudio_that_does_not_work_is_an_error(portaudio: FakePortAudio) -> None:
    portaudio.broken = True
    with pytest.raises(MissingPartError, match="cannot say which microphones"):
        find_input(None)


@pytest.mark.parametrize(
    ("arguments", "kind", "problem", "remedy"),
    [
        (("Device unavailable", -9985), MissingPartError, "in use", "--device"),
        (
            ("Host error", -9999, (8, -16, "Device or resource busy")),
            MissingPartError,
            "in use",
            "",
        ),
        (("Host error", -9999, (8, -13, "Permission denied")), MissingPartError, "denied", "audio"),
        (("Invalid sample rate", -9997), SettingsError, "123 samples per second", "48000"),
        (("Invalid number of channels", -9998), SettingsError, "this channel", "It has 1"),
        (("Internal error", -9986), MissingPartError, "opened: Internal error.", "Plug it in"),
        ((), MissingPartError, "cannot be opened", "Plug it in"),
    ],
)
@pytest.mark.usefixtures("three")
def test_each_refusal_has_its_sentence_and_remedy(
    arguments: tuple[object, ...], kind: type[ChorusError], problem: str, remedy: str
) -> None:
    error = cannot_open(find_input(1), 123, PortAudioError(*arguments))
    assert type(error) is kind
    assert problem in error.problem
    assert "USB PnP" in error.problem
    assert remedy in error.remedy


def test_portaudio_does_not_hold_up_the_end_of_the_program() -> None:
    if ctypes.util.find_library("portaudio") is None:
        pytest.skip("no PortAudio: apt install libportaudio2")
    program = """if True:
        from edge_client.hearing.devices import portaudio
        sounddevice = portaudio()
        def terminate():
            print("It waits.")
            sounddevice._initialized = 0
        sounddevice._terminate = terminate
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=BOUND
    )
    assert done.stdout == ""
