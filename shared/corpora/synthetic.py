"""Sounds made on the spot from a seed, so that everything can be tried before there is a corpus.

They are not speech, and nothing measured on them says anything about speech: a pulse train filtered
by formants (the source-filter model; Fant, 1960), in syllables. Emotions differ as acted speech
does on average (Scherer, 2003): anger is fast, loud and bright, happiness high and lively, sadness
slow, low and dull. Speakers differ more than the emotions do.
"""

import hashlib
import math
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.audio import RATE, Samples
from shared.corpora.corpus import Clip, Corpus, CorpusInfo
from shared.corpora.labels import emotion_of
from shared.errors import SettingsError
from shared.randomness import stream
from shared.task import DEFAULT_TASK, Task

INFO: Final = CorpusInfo(
    name="synthetic",
    title="synthetic sounds (not speech)",
    description=(
        "168 sounds of each label by 24 made-up voices, made on the spot from a seed (672 of the "
        "default task). Not speech: for trying "
        "things out and for tests; results on it say nothing about people."
    ),
    licence="none needed",
    obtain="nothing to obtain: leave out --data",
    tree="",
)

VERSION: Final = 1
"""Raised with every change to the sounds, so that cached features of older ones are not used."""

PITCHES: Final = (85.0, 250.0)
"""Lowest and highest of the voices' mean pitches, Hz."""

_STEP: Final = 160
"""Syllables last a multiple of 10 ms, which keeps the lengths of their FFTs smooth."""

_VOWELS: Final = np.array(
    # The first three formants of a, e, i, o, u in Hz, after Peterson & Barney (1952).
    [(730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240)],
    np.float64,
)
_BANDWIDTHS: Final = np.array([80.0, 100.0, 150.0])


@dataclass(frozen=True, slots=True)
class Manner:
    """How an emotion changes a voice, as differences to neutral.

    Attributes
    ----------
    pitch
        Mean pitch, semitones.
    range
        Range of the pitch, a factor.
    tilt
        Spectral tilt, dB an octave.
    tempo
        Syllables a second, a factor.
    loudness
        Level against the voice's noise, dB.
    dynamics
        Standard deviation of the syllables' levels, dB.
    """

    pitch: float
    range: float
    tilt: float
    tempo: float
    loudness: float
    dynamics: float


MANNERS: Final = {
    "angry": Manner(pitch=2.0, range=1.4, tilt=5.0, tempo=1.25, loudness=8.0, dynamics=5.5),
    "happy": Manner(pitch=7.0, range=2.0, tilt=1.5, tempo=1.15, loudness=3.0, dynamics=3.5),
    "neutral": Manner(pitch=0.0, range=1.0, tilt=0.0, tempo=1.0, loudness=0.0, dynamics=2.5),
    "sad": Manner(pitch=-1.0, range=0.6, tilt=-3.5, tempo=0.75, loudness=-6.0, dynamics=1.5),
    "fearful": Manner(pitch=8.0, range=0.7, tilt=3.5, tempo=1.4, loudness=0.0, dynamics=4.5),
    "disgusted": Manner(pitch=-4.0, range=1.2, tilt=3.0, tempo=0.7, loudness=2.0, dynamics=4.5),
    "surprised": Manner(pitch=10.0, range=2.6, tilt=2.5, tempo=0.95, loudness=4.0, dynamics=3.0),
    "calm": Manner(pitch=-3.0, range=0.8, tilt=-1.5, tempo=0.85, loudness=-4.0, dynamics=2.0),
    "bored": Manner(pitch=-5.0, range=0.4, tilt=-2.0, tempo=0.65, loudness=-5.0, dynamics=1.0),
    "excited": Manner(pitch=6.0, range=1.8, tilt=4.0, tempo=1.35, loudness=6.0, dynamics=5.0),
    "frustrated": Manner(pitch=1.0, range=0.9, tilt=4.0, tempo=1.1, loudness=5.0, dynamics=4.0),
    "contemptuous": Manner(pitch=-3.0, range=1.5, tilt=1.0, tempo=0.8, loudness=1.0, dynamics=3.0),
}
"""How each emotion of :data:`shared.corpora.labels.ALIASES` sounds."""

_BOUNDS: Final = (
    Manner(pitch=-5.0, range=0.5, tilt=-4.0, tempo=0.7, loudness=-6.0, dynamics=1.5),
    Manner(pitch=9.0, range=2.2, tilt=5.0, tempo=1.35, loudness=7.0, dynamics=5.5),
)
"""Between which the manners of other labels lie."""


def manner_of(label: str) -> Manner:
    """Give the manner of any label: an emotion's own, for others one that follows from the name."""
    if emotion := emotion_of(label):
        return MANNERS[emotion]
    draws = np.frombuffer(hashlib.sha256(label.encode()).digest()[:6], np.uint8) / 255
    low, high = (np.array(astuple(bound)) for bound in _BOUNDS)
    return Manner(*(low + draws * (high - low)).tolist())


@dataclass(frozen=True, slots=True)
class SyntheticSound:
    """What a clip is made from.

    Attributes
    ----------
    seed
        Of the corpus.
    speaker
        Number of its voice.
    label
        Which.
    take
        Number among the clips of this voice and label.
    """

    seed: int
    speaker: int
    label: str
    take: int

    def read(self) -> Samples:
        """Make the sound: 1.5 to 3 s at 16 kHz, float32 within -1 to 1."""
        voice = stream(self.seed, "synthetic", self.speaker)
        rng = stream(self.seed, "synthetic", self.speaker, self.label, self.take)
        low, high = np.log2(PITCHES)
        pitch = voice.uniform(low, high)
        # High voices come from short vocal tracts: their formants lie higher too.
        stretch = 0.88 + 0.3 * (pitch - low) / (high - low) + voice.normal(0, 0.03)
        expression = voice.uniform(0.7, 1.2)
        tilt, tempo = voice.normal(-3.0, 1.5), voice.uniform(3.6, 5.2)
        span, noise = voice.uniform(1.0, 2.5), voice.uniform(-42, -24)
        manner = manner_of(self.label)
        # No two takes are alike: each expresses its emotion more or less.
        strength = expression * rng.normal(1.0, 0.2)

        rate = tempo * manner.tempo**strength * rng.uniform(0.9, 1.1)
        length = round(RATE / rate / _STEP) * _STEP
        count = max(round(rng.uniform(1.6, 2.8) * RATE / length), 2)
        levels = rng.normal(0, 2.5 + (manner.dynamics - 2.5) * strength, count)
        contour = rng.normal(0, span * manner.range**strength, count + 1)
        contour += pitch * 12 + manner.pitch * strength + rng.normal(0, 1.0)
        slope = tilt + manner.tilt * strength + rng.normal(0, 0.7)
        sound = _syllables(rng, contour, length, slope, stretch, 10 ** (levels / 20))
        sound *= 10 ** ((-22 + manner.loudness * strength) / 20)
        sound += 10 ** ((noise - 10) / 20) * rng.standard_normal(len(sound), np.float32)
        return np.clip(sound, -1, 1).astype(np.float32)

    def content_key(self) -> str:
        """Compute the SHA-256 of the parameters, in hexadecimal."""
        parameters = "\x1f".join(map(str, ("synthetic", VERSION, *astuple(self))))
        return hashlib.sha256(parameters.encode()).hexdigest()


def _syllables(
    rng: np.random.Generator,
    contour: NDArray[np.float64],
    length: int,
    slope: float,
    stretch: float,
    levels: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Make syllables of equal length, one row each, and join them.

    Parameters
    ----------
    rng
        Chooses the vowels.
    contour
        Pitch at the syllables' edges, semitones above 1 Hz, shape ``(n + 1,)``.
    length
        Samples of a syllable.
    slope
        Spectral tilt, dB an octave.
    stretch
        Factor on the formants.
    levels
        Amplitude of each syllable, shape ``(n,)``.
    """
    count = len(levels)
    edges = np.arange(count + 1) * length
    semitones = np.interp(np.arange(count * length), edges, contour)
    phase = np.cumsum(2 ** (semitones / 12)) / RATE
    pulses = np.exp((-8 * (phase % 1)).astype(np.float32)).reshape(count, length)
    pulses *= np.hanning(length) ** 0.5
    spectrum = np.fft.rfft(pulses)
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    formants = _VOWELS[rng.integers(len(_VOWELS), size=count)] * stretch
    distance = (frequency - formants[..., None]) / _BANDWIDTHS[:, None]
    gain = (1 / np.sqrt(1 + distance**2)).sum(1)
    gain *= 10 ** (slope / 20 * np.log2(np.maximum(frequency, 100) / 500))
    sound = np.fft.irfft(spectrum * gain, length)
    sound -= sound.mean(1, keepdims=True)
    sound *= (levels / sound.std(1))[:, None] * np.hanning(length)
    return sound.ravel()


def load(
    task: Task = DEFAULT_TASK,
    *,
    seed: int = 0,
    speakers: int = 24,
    clips_per_speaker: int | None = None,
) -> Corpus:
    """List the clips; each is made when it is read.

    Parameters
    ----------
    task
        Whose labels the clips have.
    seed
        The same seed gives the same sounds.
    speakers
        Voices.
    clips_per_speaker
        Clips of each voice, a multiple of the labels' number: each voice has equally many of each
        label; seven if not given.

    Raises
    ------
    SettingsError
        If there would be no clips, or they cannot be shared equally among the labels.
    """
    labels = len(task.labels)
    if clips_per_speaker is None:
        clips_per_speaker = 7 * labels
    takes, rest = divmod(clips_per_speaker, labels)
    if speakers < 1 or takes < 1 or rest:
        raise SettingsError(
            f"The synthetic corpus cannot have {speakers} speakers with {clips_per_speaker} clips "
            "each.",
            f"Ask for at least one speaker, and for a multiple of {labels} clips.",
        )
    width = math.floor(math.log10(speakers)) + 1
    clips = (
        Clip(
            identifier=f"voice{speaker:0{width}}/{label}{take}",
            source=SyntheticSound(seed, speaker, label, take),
            label=label,
            original=label,
            speaker=f"voice{speaker:0{width}}",
            language="zxx",  # ISO 639: no linguistic content
        )
        for speaker in range(1, speakers + 1)
        for label in task.names
        for take in range(1, takes + 1)
    )
    return Corpus(INFO, tuple(clips))
