"""From what a device or a file gives to blocks of 16 kHz mono: one path for both."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_client.hearing.source import BLOCK
from shared.audio import RATE, Resampler, Samples


class Conversion:
    """Turns sound of any rate and channels into blocks, as it arrives.

    Parameters
    ----------
    rate
        Sampling rate of what comes, in Hz.
    channel
        Which channel to take, from 1; ``None`` for the mean of all.
    clips
        Whether what lies beyond full scale is cut off, as where nobody knows what is yet to come.
    """

    def __init__(self, rate: float, channel: int | None = None, *, clips: bool = True) -> None:
        self._clips = clips
        self._channel = channel
        self._resampler = Resampler(rate) if rate != RATE else None
        self._rest: Samples = np.empty(0, np.float32)

    def feed(self, frames: NDArray[np.float32], *, last: bool = False) -> Iterator[Samples]:
        """Take what has come, and give the blocks that it completes.

        Parameters
        ----------
        frames
            Shape ``(frames, channels)``, float32.
        last
            That it is all: the rest comes out too, as a shorter block.

        Yields
        ------
        Samples
            Shape ``(320,)``, 16 kHz.
        """
        # Whatever a damaged device or file gives, the resampler's filter must not keep it.
        sound = np.nan_to_num(frames, nan=0, posinf=0, neginf=0)
        if self._clips:
            np.clip(sound, -1, 1, out=sound)
        mono = sound.mean(axis=1) if self._channel is None else sound[:, self._channel - 1]
        if self._resampler is not None:
            mono = self._resampler.feed(mono, last=last)
        self._rest = np.concatenate([self._rest, mono])
        while len(self._rest) >= BLOCK:
            block, self._rest = self._rest[:BLOCK], self._rest[BLOCK:]
            yield block
        if last and len(self._rest):
            yield self._rest
