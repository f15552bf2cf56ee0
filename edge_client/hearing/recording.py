"""A recording, heard as if it were spoken now."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge_client.hearing.conversion import Conversion
from edge_client.hearing.source import OnEvent, SourceEvent, ignore
from shared.audio import RATE, Samples, check_is_file
from shared.errors import AudioError, SettingsError

READ = 50
"""A second's part that is read at once: 20 ms, as a sound card gives it."""


class Recording:
    """A file as a :class:`~edge_client.hearing.source.SoundSource`.

    The blocks are the same in real time and at once, bit for bit.

    Parameters
    ----------
    path
        A file in any format that libsndfile reads, of any length.
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
        import soundfile

        check_is_file(path, "recording")
        try:
            self._file = soundfile.SoundFile(path)
        except (soundfile.LibsndfileError, TypeError) as error:
            raise AudioError(
                f"The recording {path} cannot be read: {_reason(error)}.",
                "Convert it to WAV or FLAC.",
            ) from error
        if channel is not None and channel > self._file.channels:
            channels = self._file.channels
            self._file.close()
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
        begun, given = self._clock(), 0
        with self._file:
            self._on_event(SourceEvent("connected", f"Playing {self._path}."))
            for block in self._decoded():
                given += len(block)
                if self._closed.is_set():
                    return
                # A block is there when its last sample has been spoken.
                ahead = begun + given / RATE - self._clock()
                if not self._fast and ahead > 0:
                    self._sleep(ahead)
                yield block

    def close(self) -> None:
        """End :meth:`blocks`, from any thread."""
        self._closed.set()

    def _decoded(self) -> Iterator[Samples]:
        import soundfile

        rate = self._file.samplerate
        conversion = Conversion(rate, self._channel)
        length = max(1, rate // READ)
        try:
            while True:
                frames = self._file.read(length, dtype="float32", always_2d=True)
                yield from conversion.feed(frames, last=not len(frames))
                if not len(frames):
                    return
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"The recording {self._path} is damaged: {_reason(error)}.", "Copy it again."
            ) from error


def _reason(error: Exception) -> str:
    # TypeError is soundfile's answer to a name that ends in `.raw`.
    reason: str = getattr(error, "error_string", "the format is not recognised")
    return reason.rstrip(".")
