"""A recording, heard as if it were spoken now."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from edge_client.hearing.conversion import Conversion
from edge_client.hearing.source import OnEvent, SourceEvent, ignore
from shared.audio import RATE, Samples, decoding
from shared.errors import AudioError, SettingsError

_LENGTH = 2_048
"""Values decoded at once: little, for what comes before a damage is heard."""


class Recording:
    """A file as a :class:`~edge_client.hearing.source.SoundSource`.

    The blocks are the same in real time and at once, bit for bit.

    Parameters
    ----------
    path
        A file in any format of :func:`shared.audio.read_clip`, of any length.
    fast
        At once, not in real time.
    channel
        Which channel to hear, from 1; ``None`` for the mean of all.
    on_event
        Is told that the recording was opened.
    clock
        Seconds that only go forward.
    sleep
        Waits so many seconds.

    Raises
    ------
    AudioError
        If the file is missing or not audio.
    SettingsError
        If it has no such channel.
    """

    def __init__(
        self,
        path: Path,
        *,
        fast: bool = False,
        channel: int | None = None,
        on_event: OnEvent = ignore,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        with decoding(path, what="recording") as decoded:
            channels = decoded.channels
        if channel is not None and channel > channels:
            raise SettingsError(
                f"The recording {path} has no channel {channel}.", f"It has {channels}."
            )
        self._path = path
        self._fast = fast
        self._channel = channel
        self._on_event = on_event
        self._clock = clock
        self._sleep = sleep
        self._closed = threading.Event()

    def blocks(self) -> Iterator[Samples]:
        """Give the recording in blocks; see :meth:`edge_client.hearing.source.SoundSource.blocks`.

        Raises
        ------
        AudioError
            If the file turns out to be damaged. What came before is heard.
        """
        self._on_event(SourceEvent("connected", f"Playing {self._path}."))
        loudest = self._loudest()
        begun, given = self._clock(), 0
        for block in self._decoded():
            given += len(block)
            if self._closed.is_set():
                return
            # A block is there when its last sample has been spoken.
            ahead = begun + given / RATE - self._clock()
            if not self._fast and ahead > 0:
                self._sleep(ahead)
            yield block / loudest if loudest > 1 else block

    def close(self) -> None:
        """End :meth:`blocks`, from any thread."""
        self._closed.set()

    def _loudest(self) -> np.float32:
        """Find the peak: what is beyond full scale is scaled down, as a clip is."""
        peak = np.float32(0)
        with suppress(AudioError):  # what comes before the damage is heard first
            for block in self._decoded():
                if self._closed.is_set():
                    break
                peak = np.maximum(peak, np.abs(block).max())
        if not np.isfinite(peak):
            raise AudioError(
                f"The recording {self._path} holds values that are not finite.",
                "Record it again, or convert it anew.",
            )
        return peak

    def _decoded(self) -> Iterator[Samples]:
        with decoding(self._path, _LENGTH, "recording") as decoded:
            conversion = Conversion(decoded.rate, self._channel, clips=False)
            for frames in decoded.blocks:
                yield from conversion.feed(frames)
            yield from conversion.feed(np.empty((0, decoded.channels), np.float32), last=True)
