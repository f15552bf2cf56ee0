"""From an utterance to its vector, with a TFLite runtime."""

from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import RATE, Samples
from shared.encoders.encoder import Encoder, check_digest, read_encoder
from shared.encoders.encoder_graph import SIGNATURE, encoder_file
from shared.front_ends.log_mel import log_mel
from shared.tflite import Session, find_runtime, threads_here

LONGEST: Final = 10 * RATE
"""Samples that are listened to; what comes after them is not."""

_KEPT: Final = 2
"""Encoders kept ready; one of tiny.en takes some 10 MB."""

_DECIBEL: Final = 1 / 40
"""Of the spectrum's values."""

SPEECH: Final = 35 * _DECIBEL
"""How far below the loudest frame of an utterance speech may be: chosen by validation speakers
among 25 and 35 dB."""

ABOVE_NOISE: Final = 6 * _DECIBEL
"""How far above the softest tenth of an utterance speech is, where the loudest is far above it."""

SURELY: Final = 15 * _DECIBEL
"""What is no further below the loudest frame is speech, whatever the noise."""

_SLOWEST: Final = 10_000.0
"""Frames in which the slowest of the sinusoids turns once, divided by 2 pi."""


@lru_cache(maxsize=_KEPT)
def encoding_of(path: Path, digest: str) -> "Encoding":
    """Read an encoder and make it ready; the last few stay.

    Raises
    ------
    WeightsError
        If the file is damaged, or not the one of this digest (SHA-256, hexadecimal).
    """
    check_digest(path, digest)
    return Encoding(read_encoder(path))


class Encoding:
    """Computes vectors with one encoder; several threads may ask at once.

    Parameters
    ----------
    encoder
        Which.
    threads
        Threads of the runtime; :func:`shared.tflite.threads_here` if not given.
    """

    def __init__(self, encoder: Encoder, *, threads: int | None = None) -> None:
        threads = threads or threads_here()
        self._mels = encoder.mels
        self._positions = positions(LONGEST // 320 + 1, encoder.width)
        content = encoder_file(encoder, gelu_op=find_runtime(said=False).gelu_op)
        self._session = Session(content, SIGNATURE, threads)
        self._lock = Lock()

    def vector(self, samples: Samples, *, speech: bool = True) -> NDArray[np.float32]:
        """Compute the vector of an utterance.

        Parameters
        ----------
        samples
            Shape ``(samples,)``, float32, 16 kHz; the first 10 s are used.
        speech
            Whether to pool over the speech alone; else pauses count as speech does.

        Returns
        -------
        numpy.ndarray
            Shape ``(features,)``, float32.

        Raises
        ------
        AudioError
            If the utterance is shorter than 25 ms, or not finite.
        """
        mel = log_mel(samples[:LONGEST], self._mels)
        frames = -(-len(mel) // 2)
        with self._lock:
            session = self._session
            session.resize(
                mel=(1, len(mel) + 2, 1, self._mels),
                positions=(frames, 1, 1, self._positions.shape[1]),
                shares=(1, frames),
            )
            heard = session.view("mel")[0, :, 0]
            heard[0] = heard[-1] = 0
            heard[1:-1] = mel
            session.view("positions")[:, 0, 0] = self._positions[:frames]
            session.view("shares")[0] = speech_shares(mel) if speech else 1 / frames
            del heard
            session.run()
            vector: NDArray[np.float32] = session.view("vector").copy()
        return vector

    def layer(self, number: int) -> NDArray[np.float32]:
        """Give the output of a layer that is pooled, of the last utterance: ``(t, width)``."""
        output: NDArray[np.float32] = self._session.view(f"layer{number}")[:, 0, 0].copy()
        return output


def speech_shares(mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give how much each frame of the layers counts in an utterance's vector.

    Frames of speech count alike, and those of pauses not at all: how long somebody is silent before
    and after they speak, and what noise is heard then, says nothing of them. Speech is told by its
    loudest band. Layers hear all of the utterance.

    Parameters
    ----------
    mel
        The utterance's spectrum, shape ``(n, mels)``; two of its frames make one of the layers'.

    Returns
    -------
    numpy.ndarray
        Shape ``(t,)``, t half of n, rounded up; its sum is 1.
    """
    loud = np.maximum.reduceat(mel.max(axis=1), np.arange(0, len(mel), 2)).astype(np.float64)
    most = loud.max()
    noise = np.quantile(loud, 0.1) + ABOVE_NOISE
    speech = loud >= max(most - SPEECH, min(noise, most - SURELY))
    shares: NDArray[np.float32] = (speech / speech.sum()).astype(np.float32)
    return shares


def positions(frames: int, width: int) -> NDArray[np.float32]:
    """Give what tells an encoder's frames apart, shape ``(frames, width)``.

    Sines, then cosines of the frame's number times frequencies from 1 to 1/10,000 (Vaswani et al.,
    *Attention Is All You Need*, 2017), as ``whisper.model.sinusoids`` computes them, rounded to
    float16 as in all published weights.
    """
    half = width // 2
    frequency = np.exp(-np.log(_SLOWEST) / (half - 1) * np.arange(half))
    angle = np.arange(frames)[:, None] * frequency
    return np.hstack([np.sin(angle), np.cos(angle)]).astype(np.float16).astype(np.float32)
