"""The microphone: PortAudio's sound in blocks of 16 kHz, for as long as it takes."""

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from edge_client.hearing.conversion import Conversion
from edge_client.hearing.devices import (
    InputDevice,
    cannot_open,
    find_input,
    look_again,
    portaudio,
)
from edge_client.hearing.source import OnEvent, SourceEvent, ignore
from shared.audio import Samples
from shared.errors import ChorusError, SettingsError
from shared.standard_error import hushed

BACKLOG: Final = 500
"""Pieces (of 20 ms: 10 s) that may wait to be taken; what comes then is lost, and counted."""

LATENCY: Final = 0.1
"""Seconds of sound that the system keeps for us: a small, busy device is seldom away for longer."""

STALLED: Final = 3.0
"""Seconds without a piece after which a device is taken for unplugged. A muted one gives zeros."""

LOOK: Final = 0.1
"""Seconds between looks at whether to go on."""

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 5.0
"""Seconds between looks for a lost device: doubled from the first to the longest."""

MIXED: Final = 2
"""Channels whose mean is taken when none is named. Sound servers claim dozens."""

Piece = NDArray[np.float32]
"""What the device gives at once: shape ``(frames, channels)``."""


class Microphone:
    """A microphone as a :class:`~edge_client.hearing.source.SoundSource`.

    Nothing is opened before :meth:`blocks`. A device that is lost is waited for, and taken up
    again; it is known by its name then, if one was named, since numbers change.

    Parameters
    ----------
    device
        Its number or name, see :func:`~edge_client.hearing.devices.find_input`.
    rate
        Samples per second to record at; ``None`` for the device's own.
    channel
        Which channel to take, from 1; ``None`` for the mean of the first two.
    on_event
        Is told when the device is connected, lost, or overrun.
    waits
        Whether a device that is not there at first, or cannot be used, is waited for too.
    """

    def __init__(
        self,
        device: str | int | None = None,
        rate: int | None = None,
        channel: int | None = None,
        on_event: OnEvent = ignore,
        *,
        waits: bool = False,
    ) -> None:
        self._names: tuple[str | int | None, ...] = (device,)
        self._looks = False
        self._waits = waits
        self._rate = rate
        self._channel = channel
        self._on_event = on_event
        self._closed = threading.Event()
        self._lost_pieces = 0

    def anew(self) -> Self:
        """Give this microphone once more, after :meth:`close`.

        It may have been plugged in anew; if it has gone, it is waited for.
        """
        again = copy(self)
        again._closed = threading.Event()  # noqa: SLF001 - our own
        again._looks = again._waits = True  # noqa: SLF001 - our own
        return again

    def blocks(self) -> Iterator[Samples]:
        """Give the sound in blocks; see :meth:`edge_client.hearing.source.SoundSource.blocks`.

        Raises
        ------
        ChorusError
            If there is no such microphone at the beginning, or it cannot be opened, and nobody
            wants to wait for it. Once it has been heard, it is always waited for.
        """
        pieces: queue.Queue[Piece] = queue.Queue(BACKLOG)
        found = self._first(pieces)
        while found is not None:
            device, stream = found
            try:
                self._on_event(SourceEvent("connected", f"Listening to {device.name}."))
                conversion = Conversion(stream.samplerate, self._channel)
                for piece in self._pieces(stream, pieces):
                    yield from conversion.feed(piece)
            finally:
                self._shut(stream)
            if self._closed.is_set():
                return
            self._on_event(SourceEvent("lost", f"{device.name} is gone: plug it in again."))
            pieces = queue.Queue(BACKLOG)
            found = self._waited_for(pieces)

    def close(self) -> None:
        """End :meth:`blocks`, from any thread."""
        self._closed.set()

    def _first(self, pieces: "queue.Queue[Piece]") -> tuple[InputDevice, Any] | None:
        try:
            if self._looks:
                look_again()
            return self._opened(pieces)
        except ChorusError as error:
            if not self._waits:
                raise
            self._on_event(SourceEvent("lost", f"Waiting for a microphone. {error.message}"))
        return self._waited_for(pieces)

    def _opened(self, pieces: "queue.Queue[Piece]") -> tuple[InputDevice, Any]:
        sounddevice = portaudio()
        device = self._found()
        if self._names != (None,):
            # Two of one kind differ in their places only, as long as these last.
            self._names = (device.name, device.lasting_name)
        rate = self._rate or device.rate

        def take(indata: Piece, frames: int, time: Any, status: Any) -> None:
            del frames, time
            self._lost_pieces += bool(status.input_overflow)
            try:
                pieces.put_nowait(indata.copy())
            except queue.Full:
                self._lost_pieces += 1

        stream = None
        try:
            with hushed():
                stream = sounddevice.InputStream(
                    samplerate=rate,
                    blocksize=round(rate / 50),
                    device=device.index,
                    channels=self._channel or min(MIXED, device.channels),
                    dtype="float32",
                    latency=LATENCY,
                    callback=take,
                )
                stream.start()
        except sounddevice.PortAudioError as error:
            if stream is not None:
                self._shut(stream)
            raise cannot_open(device, rate, error) from error
        return device, stream

    def _found(self) -> InputDevice:
        for name in self._names[:-1]:
            with suppress(SettingsError):
                return find_input(name)
        return find_input(self._names[-1])

    def _pieces(self, stream: Any, pieces: "queue.Queue[Piece]") -> Iterator[Piece]:
        """Give what the device gives, until it is lost or the microphone is closed."""
        quiet, lost = 0.0, self._lost_pieces
        while not self._closed.is_set() and quiet < STALLED:
            try:
                piece = pieces.get(timeout=LOOK)
            except queue.Empty:
                quiet += LOOK
                if not stream.active:
                    return
                continue
            quiet = 0
            if self._lost_pieces > lost:
                lost = self._lost_pieces
                self._on_event(
                    SourceEvent("overrun", f"Sound was lost {lost} times: the machine was busy.")
                )
            yield piece

    def _waited_for(self, pieces: "queue.Queue[Piece]") -> tuple[InputDevice, Any] | None:
        wait = FIRST_WAIT
        while not self._closed.wait(wait):
            with suppress(ChorusError):
                look_again()
                return self._opened(pieces)
            wait = min(2 * wait, LONGEST_WAIT)
        return None

    def _shut(self, stream: Any) -> None:
        with hushed(), suppress(portaudio().PortAudioError):
            stream.close()
