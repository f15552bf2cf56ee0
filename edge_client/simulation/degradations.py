"""What happens to speech on its way to a recogniser: noise, a room, a telephone, a wrong level.

Each condition is a function of the sound and of the randomness that it is given, so that the same
seed degrades the same clip in the same way, for every front end and model. As with varied copies
(:mod:`edge_client.simulation.waveforms`), a degraded clip is a clip like any other.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_client.hearing.segmentation import Segmenter
from edge_client.simulation.waveforms import in_room, noise_of
from shared.audio import RATE, Samples, to_utterance
from shared.corpora.corpus import Clip, ClipSource
from shared.errors import SettingsError
from shared.randomness import stream

VERSION: Final = 1
"""Rises whenever a condition sounds different."""

CLEAN: Final = "clean"
"""The condition in which nothing happens."""

SNRS: Final = (20, 10, 5)
"""Decibels of speech over noise, by mean power over the whole clip."""

FLOORS: Final = (-80, -60, -50)
"""Levels of noise that is always the same, whatever the speech: root mean square against full
scale, in decibels (dBFS). A good microphone, a cheap one, and one in a loud room."""

VOICES: Final = 5
"""Clips of others that babble is made of."""

HUM: Final = 50.0
"""Frequency of the mains, in hertz."""

HARMONICS: Final = 8
"""Of the hum, each with an amplitude of 1 / its number."""

REVERBERATION: Final = 0.3
"""Seconds in which the sound of the room falls by 60 dB: a small room; the sound that comes
straight from the mouth is as loud as all that comes from the walls."""

TELEPHONE: Final = (300.0, 3400.0)
"""Band of a telephone that samples at 8 kHz, in hertz; its 8 bits follow the mu-law of G.711."""

LOW: Final = -40.0
"""Level of speech that is too soft, in dBFS, kept in 16 bits."""

CLIPPED: Final = 0.05
"""Share of the samples that are cut off where the level is too high."""

PAUSE: Final = RATE
"""Samples before and after a clip that a device cuts out: 1 s."""

TRAINED_SNR: Final = (5.0, 30.0)
"""Decibels of speech over noise in copies to train on."""

TRAINED_FLOOR: Final = (-85.0, -45.0)
"""Levels of noise in copies to train on, in dBFS."""

_Noise = Callable[[int, np.random.Generator, Sequence[Samples]], NDArray[np.float64]]
_Condition = Callable[[Samples, np.random.Generator, Sequence[Samples]], NDArray[np.floating[Any]]]


def _random(
    count: int, rng: np.random.Generator, _: Sequence[Samples], *, pink: bool
) -> NDArray[np.float64]:
    return noise_of(count, rng, pink=pink)


def _babble(count: int, rng: np.random.Generator, others: Sequence[Samples]) -> NDArray[np.float64]:
    """Let others speak at once, each as loud as the next, from a random moment on."""
    mixed = np.zeros(count)
    for voice in others:
        begun = np.roll(voice, -int(rng.integers(len(voice))))
        mixed += np.resize(begun, count) / max(_level(voice), 1e-9)
    return mixed


def _hum(count: int, rng: np.random.Generator, _: Sequence[Samples]) -> NDArray[np.float64]:
    numbers = np.arange(1, HARMONICS + 1)[:, None]
    phases = rng.uniform(0, 2 * np.pi, (HARMONICS, 1))
    times = np.arange(count) / RATE
    return np.asarray((np.sin(2 * np.pi * HUM * numbers * times + phases) / numbers).sum(0))


_NOISES: Final[Mapping[str, _Noise]] = {
    "white": partial(_random, pink=False),
    "pink": partial(_random, pink=True),
    "babble": _babble,
    "hum": _hum,
}


def _noisy(
    samples: Samples,
    rng: np.random.Generator,
    others: Sequence[Samples],
    *,
    noise: _Noise,
    snr: float | None = None,
    floor: float = 0.0,
) -> NDArray[np.float64]:
    """Add noise, ``snr`` decibels below the speech or else at a level of ``floor`` dBFS."""
    added = noise(len(samples), rng, others)
    wanted = 10 ** (floor / 20) if snr is None else _level(samples) * 10 ** (-snr / 20)
    return samples + added * (wanted / max(_level(added), 1e-9))


def _room(samples: Samples, rng: np.random.Generator, _: Sequence[Samples]) -> Samples:
    return in_room(samples, REVERBERATION, 0.0, rng)


def _telephone(
    samples: Samples, _: np.random.Generator, __: Sequence[Samples]
) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    spectrum[(hertz < TELEPHONE[0]) | (hertz > TELEPHONE[1])] = 0
    sound = np.fft.irfft(spectrum, len(samples)).clip(-1, 1)
    logarithmic = np.sign(sound) * np.log1p(255 * np.abs(sound)) / np.log(256)
    kept = np.round(logarithmic * 127) / 127
    return np.asarray(np.sign(kept) * np.expm1(np.abs(kept) * np.log(256)) / 255)


def _low(samples: Samples, _: np.random.Generator, __: Sequence[Samples]) -> NDArray[np.float64]:
    soft = samples * (10 ** (LOW / 20) / max(_level(samples), 1e-9))
    return np.asarray(np.round(soft * 32767) / 32767, np.float64)


def _clipped(samples: Samples, _: np.random.Generator, __: Sequence[Samples]) -> Samples:
    loud = float(np.quantile(np.abs(samples), 1 - CLIPPED))
    return samples / np.float32(max(loud, 1e-9))


def _mp3(samples: Samples, _: np.random.Generator, __: Sequence[Samples]) -> NDArray[np.float32]:
    """Encode with LAME at a variable rate of about 30 kbit/s, as recorders of phones do."""
    import soundfile

    with io.BytesIO() as file:
        soundfile.write(
            file, samples, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5
        )
        file.seek(0)
        decoded: NDArray[np.float32] = soundfile.read(file, dtype="float32")[0]
    return decoded


_CHANGES: Final[Mapping[str, _Condition]] = {
    CLEAN: lambda samples, *_: samples,
    "room": _room,
    "telephone": _telephone,
    "low": _low,
    "clipped": _clipped,
    "mp3": _mp3,
}

_NOISY: Final = re.compile(r"([a-z]+):(-?[0-9]{1,3}(?:\.[0-9])?)(dB|dBFS)")

CONDITIONS: Final = (
    CLEAN,
    *(f"{noise}:{snr}dB" for noise in _NOISES for snr in SNRS),
    *(f"{noise}:{floor}dBFS" for noise in _NOISES for floor in FLOORS),
    *(name for name in _CHANGES if name != CLEAN),
)
"""Names of those that are tested: clean speech first, then noise by its distance to the speech,
noise by its level, and the rest. Noise of any other level goes by such a name, too."""


def condition_of(name: str) -> _Condition:
    """Find what a name of a condition stands for.

    Raises
    ------
    SettingsError
        If there is no such condition.
    """
    if name in _CHANGES:
        return _CHANGES[name]
    match = _NOISY.fullmatch(name)
    if not match or match[1] not in _NOISES or (match[3] == "dBFS" and float(match[2]) > 0):
        raise SettingsError(f"There is no condition {name}; there are: {', '.join(CONDITIONS)}.")
    level = float(match[2])
    snr = level if match[3] == "dB" else None
    return partial(_noisy, noise=_NOISES[match[1]], snr=snr, floor=level)


def degraded(
    samples: Samples, condition: str, rng: np.random.Generator, others: Sequence[Samples] = ()
) -> Samples:
    """Let a condition befall an utterance.

    Parameters
    ----------
    samples
        Shape ``(samples,)``, float32, 16 kHz.
    condition
        A name, as in :data:`CONDITIONS`.
    rng
        Draws noise and rooms.
    others
        What babble is made of; it needs one at least.

    Returns
    -------
    Samples
        The same length, but for an encoder's padding; float32 in [-1, 1]: what is beyond full
        scale is cut off, as a sound card does.
    """
    changed = condition_of(condition)(samples, rng, others)
    return to_utterance(np.clip(changed, -1, 1).astype(np.float32), RATE)


@dataclass(frozen=True, slots=True)
class DegradedSound:
    """The sound of a degraded clip; a :class:`shared.corpora.corpus.ClipSource`.

    Attributes
    ----------
    source
        Of the clip.
    condition
        What befalls it.
    seed
        What its noise follows from, together with the clip's content.
    others
        Whose voices babble is made of; empty in other conditions.
    cut
        Whether it is what a device cuts out, where there are pauses before and after the clip.
    """

    source: ClipSource
    condition: str
    seed: int
    others: tuple[ClipSource, ...]
    cut: bool = False

    def read(self) -> Samples:
        """Read the clip, and degrade it.

        Raises
        ------
        AudioError
            If a clip cannot be read.
        """
        rng = stream(self.seed, "degradation", self.condition, self.source.content_key())
        voices = [other.read() for other in self.others]
        samples = self.source.read()
        if not self.cut:
            return degraded(samples, self.condition, rng, voices)
        return cut_out(degraded(_between_pauses(samples, rng), self.condition, rng, voices))

    def content_key(self) -> str:
        """Name the degraded sound: its clips, the condition and its version.

        Raises
        ------
        OSError
            If a clip's file cannot be read.
        """
        keys = " ".join(source.content_key() for source in (self.source, *self.others))
        return f"{keys} degraded {VERSION} {self.seed} {self.condition}{' cut' * self.cut}"


def _between_pauses(samples: Samples, rng: np.random.Generator) -> Samples:
    """Put silence before and after a clip, and the noise of a good microphone over all."""
    whole = np.pad(samples, PAUSE)
    noise = rng.standard_normal(len(whole), np.float32)
    return whole + np.float32(10 ** (FLOORS[0] / 20)) * noise


def cut_out(samples: Samples) -> Samples:
    """Give the longest utterance that a device cuts out of a sound; all of it, if there is none."""
    segmenter = Segmenter()
    found = [*segmenter.feed(samples), *segmenter.flush()]
    return max((utterance.samples for utterance in found), key=len, default=samples)


def degraded_clips(clips: Sequence[Clip], condition: str, seed: int) -> list[Clip]:
    """Degrade clips; those of other speakers among them are what babble is made of.

    Parameters
    ----------
    clips
        In their order.
    condition
        A name, as in :data:`CONDITIONS`.
    seed
        What all noise follows from.
    """
    if condition == CLEAN:
        return list(clips)
    babbling = condition.startswith("babble")
    return [
        replace(
            clip,
            source=DegradedSound(
                clip.source, condition, seed, _voices(clip, clips, seed) if babbling else ()
            ),
        )
        for clip in clips
    ]


def copies_in_conditions(clips: Iterable[Clip], copies: int, seed: int) -> list[Clip]:
    """Make copies of clips to train on, as devices in other places would hear them.

    A device hears all of its user in one condition. So the first copies of a speaker's clips share
    one, the second copies another, and each copy's speaker is a new one: whoever normalises by
    speakers normalises each condition by its own statistics.

    A third is in noise by its distance to the speech, a third in noise of a fixed level, and a
    third in a room, over a telephone or at a wrong level; noise is white, pink or hum, its level
    evenly from :data:`TRAINED_SNR` or :data:`TRAINED_FLOOR`. None is in babble: nobody who is
    tested on is heard in a copy of somebody else's clip. The first, third, ... copies are what a
    device cuts out; the others are as long as their clips.

    Parameters
    ----------
    clips
        What to copy.
    copies
        Of each.
    seed
        What conditions follow from, together with the speaker and the copy's number, and noise,
        together with the clip.

    Returns
    -------
    list of Clip
        All copies of the first, of the second, and so on; each bears its clip's identifier and
        speaker with ``#condition`` and its number behind them.
    """
    return [
        replace(
            clip,
            identifier=f"{clip.identifier}#condition{number}",
            speaker=f"{clip.speaker}#condition{number}",
            source=DegradedSound(
                clip.source, _drawn(clip, number, seed), seed, (), cut=number % 2 == 1
            ),
        )
        for clip in clips
        for number in range(1, copies + 1)
    ]


def vary_in_conditions(copies: int, seed: int) -> Callable[[Clip], list[Clip]]:
    """Give what makes the copies of a clip that teach a starter (its ``vary``).

    As :func:`copies_in_conditions`. Who makes a starter hands this over, never the copies beside
    the clips: each of them would be heard as another person.
    """

    def vary(clip: Clip) -> list[Clip]:
        return copies_in_conditions([clip], copies, seed)

    return vary


def _drawn(clip: Clip, number: int, seed: int) -> str:
    """Draw the condition of a speaker's copies."""
    rng = stream(seed, "training condition", clip.speaker, number)
    noise = rng.choice(["white", "pink", "hum"])
    drawn = [
        f"{noise}:{rng.uniform(*TRAINED_SNR):.1f}dB",
        f"{noise}:{rng.uniform(*TRAINED_FLOOR):.1f}dBFS",
        rng.choice(["room", "telephone", "low", "clipped"]),
    ]
    return str(rng.choice(drawn))


def _voices(clip: Clip, clips: Sequence[Clip], seed: int) -> tuple[ClipSource, ...]:
    others = [other.source for other in clips if other.speaker != clip.speaker]
    others = others or [other.source for other in clips]
    rng = stream(seed, "babble", clip.identifier)
    return tuple(others[place] for place in rng.integers(len(others), size=VOICES))


def _level(samples: NDArray[np.floating[Any]]) -> float:
    """Give the root mean square."""
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))
