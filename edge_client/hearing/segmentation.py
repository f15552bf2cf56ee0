"""Utterances in a stream of sound: where speech begins and where it ends."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge_client.hearing.settings import HearingSettings
from edge_client.hearing.utterance import Utterance
from edge_client.hearing.voice import FRAME, RESPONSE, VoiceActivity
from shared.audio import RATE, Samples

SHORTEST: Final = 0.5
"""Seconds of the shortest utterance: with less there is nothing to recognise."""

LONGEST: Final = 10
"""Seconds of the longest utterance: longer speech is cut."""

SEARCHED: Final = 2
"""Seconds before that limit in which the quietest place is looked for, to cut there."""

HYSTERESIS: Final = 0.75
"""Share of the threshold above which speech that has begun goes on."""

SILENCE: Final = -100.0
"""dBFS that stand for anything quieter."""

_PER_SECOND: Final = RATE // FRAME
_GAP: Final = 5
"""Frames (0.1 s) over which a place has to be quiet, to be cut at."""


class Segmenter:
    """Cuts a stream into utterances; where it cuts does not depend on the size of the blocks.

    It holds at most :data:`LONGEST` seconds of sound, however long the stream.

    Parameters
    ----------
    settings
        What counts as an utterance.
    """

    def __init__(self, settings: HearingSettings | None = None) -> None:
        settings = settings or HearingSettings()
        self._threshold = settings.threshold
        self._hang_over = round(settings.hang_over * _PER_SECOND)
        self._shortest = round(settings.shortest * _PER_SECOND)
        self._voice = VoiceActivity()
        # A beginning is noticed at the end of what the judgement looks back on.
        before = round(settings.pre_roll * _PER_SECOND) + RESPONSE
        self._before: deque[Samples] = deque(maxlen=before)
        self._rest: Samples = np.empty(0, np.float32)
        self._level = SILENCE
        self._seen = 0  # frames since the stream's start
        self._open: list[Samples] = []  # the frames of the utterance that goes on
        self._spoken = self._last = 0  # the frames where its speech began, and was heard last

    @property
    def level(self) -> float:
        """Loudness of the last block: its root mean square in dBFS, at least -100."""
        return self._level

    @property
    def speaking(self) -> bool:
        """Whether an utterance is going on."""
        return bool(self._open)

    def feed(self, block: NDArray[np.float32]) -> list[Utterance]:
        """Listen to the next block.

        Parameters
        ----------
        block
            Shape ``(samples,)``, float32, 16 kHz mono, of any length. Values that are not finite
            are heard as silence, those beyond full scale as full scale.

        Returns
        -------
        list of Utterance
            Those that ended in it.
        """
        sound = np.concatenate([self._rest, block], dtype=np.float32)
        self._level = _level(_audible(sound[len(self._rest) :]))
        whole = len(sound) - len(sound) % FRAME
        self._rest = sound[whole:].copy()  # a view would keep the block
        frames = sound[:whole].reshape(-1, FRAME)
        intact = np.isfinite(frames).all(axis=1)
        ended = map(self._hear, _audible(frames), intact)
        return [utterance for utterance in ended if utterance is not None]

    def flush(self) -> list[Utterance]:
        """Take the stream to be interrupted here: the utterance that goes on ends.

        Returns
        -------
        list of Utterance
            It, if it is long enough. Its last part of a frame is left out.
        """
        ended = self._end() if self._open else None
        self._before.clear()
        return [] if ended is None else [ended]

    def _hear(self, frame: Samples, intact: bool) -> Utterance | None:  # noqa: FBT001 - for map
        frame = frame.copy()  # a view would keep the block
        # A damaged frame must not pass for a silent room.
        excess = self._voice.excess(frame) if intact else 0.0
        self._seen += 1
        if not self._open:
            self._before.append(frame)
            if excess > self._threshold:
                self._begin()
            return None
        self._open.append(frame)
        if excess > self._threshold * HYSTERESIS:
            self._last = self._seen
        if self._seen - self._last >= self._hang_over:
            return self._end()
        if len(self._open) >= LONGEST * _PER_SECOND:
            return self._cut()
        return None

    def _begin(self) -> None:
        self._open = list(self._before)
        self._before.clear()
        self._spoken, self._last = self._seen - 1, self._seen

    def _end(self) -> Utterance | None:
        frames, self._open = self._open, []
        # The judgement holds on to a sound for as long as it looks back.
        spoken = self._last - self._spoken - RESPONSE + 1
        if spoken < self._shortest or len(frames) < SHORTEST * _PER_SECOND:
            self._before.extend(frames)
            return None
        # Its silence may be the next one's soft beginning; its speech is no part of another.
        self._before.extend(frames[len(frames) - (self._seen - self._last) :])
        return self._utterance(frames, self._seen)

    def _cut(self) -> Utterance:
        """End the utterance at the quietest place of its last seconds; the rest goes on."""
        searched = np.array(self._open[-SEARCHED * _PER_SECOND :])
        power = np.convolve((searched**2).mean(axis=1), np.ones(_GAP), "valid")
        kept = len(self._open) - len(searched) + int(power.argmin()) + _GAP // 2
        frames, self._open = self._open[:kept], self._open[kept:]
        end = self._seen - len(self._open)
        self._spoken = min(end, self._last)
        return self._utterance(frames, end)

    def _utterance(self, frames: list[Samples], end: int) -> Utterance:
        return Utterance(np.concatenate(frames), (end - len(frames)) / _PER_SECOND)


def _audible(sound: Samples) -> Samples:
    return np.clip(np.nan_to_num(sound, nan=0, posinf=0, neginf=0), -1, 1)


def _level(sound: Samples) -> float:
    power = float(np.square(sound, dtype=np.float64).mean()) if len(sound) else 0.0
    return max(SILENCE, 10 * float(np.log10(power))) if power else SILENCE
