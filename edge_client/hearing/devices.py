"""Microphones that this machine has, through PortAudio, and what to do when one cannot be had."""

import atexit
import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import ChorusError, MissingPartError, SettingsError
from shared.standard_error import hushed

SOUND_CARDS: Final = Path("/dev/snd")
"""Where Linux shows the sound cards."""

# PortAudio's error codes (portaudio.h, PaErrorCode).
_INVALID_CHANNELS: Final = -9998
_INVALID_RATE: Final = -9997
_UNAVAILABLE: Final = -9985

_ALSA_PLACE: Final = re.compile(r" ?\(hw:\d+,\d+\)$")
"""Where ALSA has put a device, at the end of its name: not the same after it was unplugged."""


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A microphone, or anything else that can be recorded from.

    Attributes
    ----------
    index
        PortAudio's number for it; changes when devices come and go.
    name
        Its name.
    host
        The sound system it belongs to, such as ALSA.
    channels
        How many it has.
    rate
        Its own sampling rate in Hz.
    default
        Whether it is taken when none is named.
    """

    index: int
    name: str
    host: str
    channels: int
    rate: float
    default: bool

    @property
    def lasting_name(self) -> str:
        """Its name without the part that may change when it is plugged in again."""
        return _ALSA_PLACE.sub("", self.name)


def portaudio() -> Any:
    """Import sounddevice.

    Raises
    ------
    MissingPartError
        If the PortAudio library is not installed.
    """
    try:
        with hushed():
            import sounddevice
        # At the program's end PortAudio may wait for ever for a thread of its own that has ended.
        # The system closes what is open.
        with contextlib.suppress(AttributeError):  # there is no public way
            atexit.unregister(sounddevice._exit_handler)  # noqa: SLF001
    except OSError as error:
        raise MissingPartError(
            "The PortAudio library, which records sound, is not installed.",
            "Install it: sudo apt install libportaudio2",
        ) from error
    return sounddevice


def look_again() -> None:
    """Let PortAudio see devices that came or went: it looks only when it starts.

    No stream may be open.
    """
    sounddevice = portaudio()
    # The library has no public way: spatialaudio/python-sounddevice, issue 125.
    with hushed(), contextlib.suppress(sounddevice.PortAudioError):
        sounddevice._terminate()  # noqa: SLF001
    with hushed(), contextlib.suppress(sounddevice.PortAudioError):
        sounddevice._initialize()  # noqa: SLF001


def list_inputs() -> list[InputDevice]:
    """List what can be recorded from; empty if there is nothing.

    Raises
    ------
    MissingPartError
        If the PortAudio library is not installed, or does not work.
    """
    sounddevice = portaudio()
    try:
        hosts = sounddevice.query_hostapis()
        devices = sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        raise MissingPartError(
            f"PortAudio cannot say which microphones there are: {error}.",
            "Start again, and look whether the sound server runs.",
        ) from error
    found = [device for device in devices if device["max_input_channels"] > 0]
    default = sounddevice.default.device[0]
    if found and default not in [device["index"] for device in found]:
        default = found[0]["index"]
    return [
        InputDevice(
            device["index"],
            device["name"],
            hosts[device["hostapi"]]["name"],
            device["max_input_channels"],
            device["default_samplerate"],
            default=device["index"] == default,
        )
        for device in found
    ]


def find_input(wanted: str | int | None) -> InputDevice:
    """Find a microphone.

    Parameters
    ----------
    wanted
        Its number, its name, or a part of its name that no other has; ``None`` for the default.

    Raises
    ------
    MissingPartError
        If there is no PortAudio, no microphone at all, or none that this user may use.
    SettingsError
        If there are microphones, but not this one, or several of that name.
    """
    inputs = list_inputs()
    if not inputs:
        raise _nothing_to_hear()
    if wanted is None:
        return next(device for device in inputs if device.default)
    name = str(wanted).lower()
    ways = (
        [device for device in inputs if name == str(device.index)],
        [device for device in inputs if name in (device.name.lower(), device.lasting_name.lower())],
        [device for device in inputs if name in device.name.lower() and not name.isdecimal()],
    )
    found = next(filter(None, ways), [])
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{device.index} ({device.name})" for device in found or inputs)
    if found:
        raise SettingsError(
            f"More than one microphone has a name with {wanted!r}: {listed}.", "Give its number."
        )
    raise SettingsError(
        f"There is no microphone {wanted!r}; there are {listed}.",
        "'edge-client devices' lists them.",
    )


def cannot_open(device: InputDevice, rate: float, error: Exception) -> ChorusError:
    """Say why a microphone could not be opened, from PortAudio's error."""
    # PortAudioError(message, code, (host, the host's code, the host's words)); not all are there.
    _, code, host, *_ = (*error.args, None, None, None)
    words = f"{error} {host}".lower()
    if code == _INVALID_RATE:
        return SettingsError(
            f"The microphone {device.name} cannot record {rate:g} samples per second.",
            f"Leave out --rate, or give its own: {device.rate:g}.",
        )
    if code == _INVALID_CHANNELS:
        return SettingsError(
            f"The microphone {device.name} does not have this channel.",
            f"It has {device.channels}; leave out --channel for their mean.",
        )
    if "permission denied" in words or "not permitted" in words:
        return _forbidden(f"The microphone {device.name}")
    if code == _UNAVAILABLE or "busy" in words:
        return MissingPartError(
            f"The microphone {device.name} is in use by another program.",
            "Close that program, or choose another with --device ('edge-client devices').",
        )
    return MissingPartError(
        f"The microphone {device.name} cannot be opened: {error.args[0] if error.args else error}.",
        "Plug it in again, or choose another with --device ('edge-client devices').",
    )


def _nothing_to_hear() -> MissingPartError:
    cards = sorted(SOUND_CARDS.glob("pcm*c")) if SOUND_CARDS.is_dir() else []
    if cards and not any(os.access(card, os.R_OK | os.W_OK) for card in cards):
        return _forbidden("The sound card")
    return MissingPartError(
        "This machine has no microphone.",
        "Plug one in (a USB microphone needs nothing installed), and see 'edge-client devices'.",
    )


def _forbidden(what: str) -> MissingPartError:
    return MissingPartError(
        f"{what} may not be used by this user: permission denied.",
        "Join the group that may, and log in again: sudo usermod -aG audio $USER",
    )
