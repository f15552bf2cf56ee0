"""From an utterance to what a speaker encoder makes of it, with NumPy alone.

It hears what Resemblyzer lets it hear: the sound made louder to -30 dBFS if it is softer, then the
power of 40 mel bands (no logarithm), 25 ms every 10 ms, zeros around the sound. Resemblyzer also
cuts pauses out; here all is heard, and pauses do not count when layers are pooled.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import RATE, Samples
from shared.encoders.encoder import check_digest
from shared.encoders.speaker_encoder import MELS, SpeakerEncoder, read_speaker_encoder
from shared.frames import Frames
from shared.front_ends.mel import hann, mel_filters, mel_powers
from shared.front_ends.whisper import speech_shares
from shared.front_ends.window import check_extremes, check_length

LONGEST: Final = 10 * RATE
"""Samples that are listened to; what comes after them is not."""

WINDOW: Final = 400
"""Samples of a frame (25 ms)."""

HOP: Final = 160
"""Samples from one frame to the next (10 ms)."""

_LOUDNESS: Final = 10 ** (-30 / 20)
"""Root of the mean square to which softer sounds are made louder."""

_FLOOR: Final = 1e-10
"""Least power whose logarithm is taken."""

_Array = NDArray[np.float32]


def powers_heard(samples: Samples) -> _Array:
    """Compute the spectrum that it hears.

    Parameters
    ----------
    samples
        Shape ``(samples,)``, float32, 16 kHz.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 40)``, float32: a frame for each whole hop, and one.

    Raises
    ------
    AudioError
        If the utterance is shorter than one window, or not finite.
    """
    check_length(samples, WINDOW)
    signal = samples.astype(np.float64)
    check_extremes(signal.min(), signal.max())
    loudness = np.sqrt(np.square(signal).mean())
    if 0 < loudness < _LOUDNESS:
        signal *= _LOUDNESS / loudness
    padded = np.pad(signal, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return mel_powers(windows, *_tables()).astype(np.float32)


def layers_of(encoder: SpeakerEncoder, heard: _Array, layers: int) -> list[_Array]:
    """Compute what the first layers give of each frame.

    Parameters
    ----------
    encoder
        Which.
    heard
        From :func:`powers_heard`, shape ``(n, 40)``.
    layers
        How many of its layers.

    Returns
    -------
    list of numpy.ndarray
        Of each layer ``(n, width)``.
    """
    found = [heard]
    for layer in range(1, layers + 1):
        kernel, recurrent, bias = (
            encoder.tensors[f"lstm{layer}/{kind}"]
            for kind in ("kernel", "recurrent_kernel", "bias")
        )
        found.append(_recurrent(found[-1] @ kernel + bias, recurrent))
    return found[1:]


def vector_of(encoder: SpeakerEncoder, samples: Samples) -> _Array:
    """Compute the vector of an utterance, of whose sound the first 10 s are used.

    Returns
    -------
    numpy.ndarray
        Shape ``(features,)``, float32: of each pooled layer the mean over the frames of speech,
        then the standard deviation; or the embedding, of length 1 (or 0, if it is all zero).

    Raises
    ------
    AudioError
        If the utterance is shorter than 25 ms, or not finite.
    """
    heard = powers_heard(samples[:LONGEST])
    if not encoder.pool:
        last = layers_of(encoder, heard, encoder.layers)[-1][-1]
        tensors = encoder.tensors
        raw = np.maximum(last @ tensors["embedding/kernel"] + tensors["embedding/bias"], 0)
        length = float(np.linalg.norm(raw))
        return np.asarray(raw / length if length else raw, np.float32)
    outputs = layers_of(encoder, heard, encoder.pool[-1])
    # As Whisper's spectrum tells speech from pauses: in units of 40 dB, two frames together.
    level = (np.log10(np.maximum(heard, _FLOOR)) / 4).astype(np.float32)
    shares = np.repeat(speech_shares(level), 2)[: len(heard)]
    shares /= shares.sum()
    parts = []
    for layer in encoder.pool:
        mean = shares @ outputs[layer - 1]
        parts += [mean, np.sqrt(shares @ np.square(outputs[layer - 1] - mean))]
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class SpeakerFeatures:
    """Computes an utterance's one row with the speaker encoder of a file."""

    path: Path
    digest: str

    def __call__(self, samples: Samples) -> Frames:
        """Compute it, shape ``(1, features)``; the encoder is read at the first time."""
        return vector_of(_encoder(self.path, self.digest), samples)[None]


@lru_cache(maxsize=2)
def _encoder(path: Path, digest: str) -> SpeakerEncoder:
    check_digest(path, digest)
    return read_speaker_encoder(path)


def _recurrent(inputs: _Array, recurrent: _Array) -> _Array:
    """Run a layer (Hochreiter & Schmidhuber, 1997, with forget gates) over its frames.

    Parameters
    ----------
    inputs
        What the frames bring to the gates, shape ``(n, 4 width)``.
    recurrent
        Shape ``(width, 4 width)``.
    """
    width = len(recurrent)
    # A gate is (1 + tanh(z / 2)) / 2: so one tanh serves all.
    half = np.full(4 * width, 0.5, np.float32)
    half[2 * width : 3 * width] = 1
    inputs, recurrent = inputs * half, recurrent * half
    hidden, cell = np.zeros((2, width), np.float32)
    found = np.empty((len(inputs), width), np.float32)
    for row, now in zip(found, inputs, strict=True):
        gates = np.tanh(now + hidden @ recurrent)
        into, kept, out = ((1 + gates[n * width : (n + 1) * width]) / 2 for n in (0, 1, 3))
        cell = kept * cell + into * gates[2 * width : 3 * width]
        row[:] = hidden = out * np.tanh(cell)
    return found


@cache
def _tables() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the window ``(400,)`` and the filters ``(201, 40)``."""
    return hann(WINDOW), mel_filters(WINDOW, MELS)
