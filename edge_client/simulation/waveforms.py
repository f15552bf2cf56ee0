"""Varied copies of training clips: another pitch, tempo, room, and noise.

A copy is a clip like any other, whose sound is made when it is asked for. So its features are
computed on all cores and kept in the cache, under a key that holds the variation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from shared.audio import RATE, Samples, to_utterance
from shared.corpora.corpus import Clip, ClipSource
from shared.randomness import stream

VERSION: Final = 1
"""Rises whenever the same copy of the same clip sounds different."""

SEMITONES: Final = 2.0
"""By which a voice is higher or lower, at most."""

TEMPO: Final = 0.1
"""Share by which a copy is faster or slower, at most."""

REVERBERATION: Final = (0.1, 0.4)
"""Seconds in which the sound of the room falls by 60 dB: a small room, furnished to bare."""

DIRECT: Final = (0.0, 10.0)
"""Decibels by which what comes straight from the mouth is louder than the room."""

SNR: Final = (10.0, 30.0)
"""Decibels of speech over noise."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How a copy differs from its clip.

    Attributes
    ----------
    semitones
        Higher, or lower if negative.
    tempo
        Times as fast.
    reverberation
        Seconds in which the room's sound falls by 60 dB.
    direct
        Decibels of direct sound over the room's.
    snr
        Decibels of speech over noise.
    pink
        Whether the noise has as much power in each octave; else in each hertz.
    """

    semitones: float
    tempo: float
    reverberation: float
    direct: float
    snr: float
    pink: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        """Draw one, each part evenly over its range."""
        return cls(
            semitones=rng.uniform(-SEMITONES, SEMITONES),
            tempo=rng.uniform(1 - TEMPO, 1 + TEMPO),
            reverberation=rng.uniform(*REVERBERATION),
            direct=rng.uniform(*DIRECT),
            snr=rng.uniform(*SNR),
            pink=bool(rng.integers(2)),
        )


def vary(samples: Samples, variation: Variation, rng: np.random.Generator) -> Samples:
    """Vary an utterance: voice and tempo first, then the room, then its noise.

    Parameters
    ----------
    samples
        Shape ``(samples,)``, float32, 16 kHz.
    variation
        How.
    rng
        Draws the room and the noise.

    Returns
    -------
    Samples
        Shape ``(about samples / tempo,)``, float32 in [-1, 1].
    """
    voice = at_tempo(at_pitch(samples, variation.semitones), variation.tempo)
    heard = in_room(voice, variation.reverberation, variation.direct, rng)
    return to_utterance(with_noise(heard, variation.snr, rng, pink=variation.pink), RATE)


def at_pitch(samples: Samples, semitones: float) -> Samples:
    """Raise the voice, or lower it, and leave the length (librosa's phase vocoder)."""
    from librosa.effects import pitch_shift

    shifted: Samples = pitch_shift(samples, sr=RATE, n_steps=semitones)
    return shifted


def at_tempo(samples: Samples, tempo: float) -> Samples:
    """Make it ``tempo`` times as fast, and leave the pitch (librosa's phase vocoder)."""
    from librosa.effects import time_stretch

    stretched: Samples = time_stretch(samples, rate=tempo)
    return stretched


def in_room(
    samples: Samples, reverberation: float, direct: float, rng: np.random.Generator
) -> Samples:
    """Let it sound in a small room: direct sound, and behind it noise that dies away.

    The impulse response is white noise under an exponential that falls by 60 dB in
    ``reverberation`` seconds, as late reflections are (Polack, 1988), ``direct`` decibels below
    the direct sound. The length stays; what rings after it is cut.
    """
    times = np.arange(1, round(reverberation * RATE) + 1) / RATE
    echo = rng.standard_normal(len(times)) * 10 ** (-3 * times / reverberation)
    echo *= 10 ** (-direct / 20) / np.sqrt(np.square(echo).sum())
    response = np.concatenate([[1.0], echo])
    size = len(samples) + len(response) - 1
    whole = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return whole[: len(samples)].astype(np.float32)


def with_noise(
    samples: Samples, snr: float, rng: np.random.Generator, *, pink: bool = False
) -> Samples:
    """Add noise ``snr`` decibels below the mean power of the utterance; silence stays silent."""
    noise = noise_of(len(samples), rng, pink=pink)
    wanted = _power(samples) * 10 ** (-snr / 10)
    noise *= np.sqrt(wanted / max(_power(noise), 1e-300))
    return (samples + noise).astype(np.float32)


def noise_of(count: int, rng: np.random.Generator, *, pink: bool) -> NDArray[np.float64]:
    """Make noise with as much power in each octave (pink), or in each hertz (white)."""
    noise = rng.standard_normal(count)
    if pink:
        spectrum = np.fft.rfft(noise)
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
        noise = np.fft.irfft(spectrum, count)
    return noise


def _power(samples: NDArray[np.float32] | NDArray[np.float64]) -> float:
    return float(np.square(samples, dtype=np.float64).mean())


@dataclass(frozen=True, slots=True)
class VariedSound:
    """The sound of a copy; a :class:`shared.corpora.corpus.ClipSource`.

    Attributes
    ----------
    source
        Of the clip.
    seed
        Of the run: what all variations follow from.
    number
        Which copy, from 1.
    """

    source: ClipSource
    seed: int
    number: int

    def read(self) -> Samples:
        """Read the clip, and vary it.

        Raises
        ------
        AudioError
            If the clip cannot be read.
        """
        rng = stream(self.seed, "waveforms", self.source.content_key(), self.number)
        return vary(self.source.read(), Variation.drawn(rng), rng)

    def content_key(self) -> str:
        """Name the copy: clip, variation and its version.

        Raises
        ------
        OSError
            If the clip's file cannot be read.
        """
        return f"{self.source.content_key()} varied {VERSION} {self.seed} {self.number}"


def varied_clips(clips: Iterable[Clip], copies: int, seed: int) -> list[Clip]:
    """Make varied copies of clips.

    Parameters
    ----------
    clips
        What to copy.
    copies
        Of each.
    seed
        What their variations follow from, together with the clip's content and the copy's number.

    Returns
    -------
    list of Clip
        All copies of the first, of the second, and so on; each bears its clip's identifier with
        ``#`` and its number behind it.
    """
    return [
        replace(
            clip,
            identifier=f"{clip.identifier}#{number}",
            source=VariedSound(clip.source, seed, number),
        )
        for clip in clips
        for number in range(1, copies + 1)
    ]
