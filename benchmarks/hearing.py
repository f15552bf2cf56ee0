"""How well utterances are found: real clips with noise over and between them.

    python benchmarks/hearing.py --data FOLDER                          # prints the tables
    python benchmarks/hearing.py --data FOLDER --write docs/hearing.md  # puts them there
    python benchmarks/hearing.py --data FOLDER --webrtc                 # WebRTC's detector instead

FOLDER holds `ravdess/` and `emodb/`. Thresholds were chosen on RAVDESS's actors 1 to 12
(`--actors 1-12`); the others and EMO-DB are for the report.
"""

import argparse
import itertools
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from edge_client.hearing.segmentation import Segmenter
from edge_client.hearing.settings import HearingSettings
from edge_client.simulation.studies.experiment_report import markdown_table, write_section
from shared.audio import RATE, Samples
from shared.corpora import Clip, load_corpus

SNRS = (20, 10, 5)
COLOURS = ("white", "pink")

LEVEL = -26.0
"""dBFS of every clip's speech: what ITU-T P.56 recordings are levelled to."""

PAUSES = (1.0, 4.0)
"""Seconds between clips, drawn evenly from this range."""

QUIETER = 30.0
"""dB below its loudest 60 ms to which a clean clip's speech is taken to reach."""

COUNTS = 0.5
"""Share of a clip's speech that an utterance has to hold, for the clip to be found."""

HEARD = 600
"""Seconds of nothing but noise."""

Span = tuple[float, float]
"""Begin and end, in seconds."""


@dataclass
class Score:
    """What was found of the clips of one scene or of several."""

    clips: int = 0
    found: int = 0
    whole: int = 0
    false: int = 0
    seconds: float = 0.0
    begins: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)

    def add(self, truth: Sequence[Span], utterances: Sequence[Span], own: HearingSettings) -> None:
        """Match utterances to the spans of true speech; an utterance counts for one only."""
        free = list(utterances)
        self.clips += len(truth)
        for begin, end in truth:
            over = {span: min(end, span[1]) - max(begin, span[0]) for span in free}
            touching = [span for span, common in over.items() if common > 0]
            best = max(touching, key=over.__getitem__, default=None)
            if best is None or over[best] < COUNTS * (end - begin):
                continue
            free.remove(best)
            self.found += 1
            self.whole += len(touching) == 1
            self.begins.append(best[0] + own.pre_roll - begin)
            self.ends.append(best[1] - own.hang_over - end)
            self.kept.append(over[best] / (end - begin))
        self.false += sum(
            all(span[1] <= begin or span[0] >= end for begin, end in truth) for span in utterances
        )

    def row(self, *names: str) -> list[str]:
        """Set it as a row of the table."""
        return [
            *names,
            f"{self.found / self.clips:.1%}",
            f"{self.whole / self.clips:.1%}",
            f"{self.false / (self.seconds / 60):.2f}",
            f"{np.mean(self.kept):.1%}",
            errors(self.begins),
            errors(self.ends),
        ]


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="holds ravdess/ and emodb/")
    parser.add_argument("--actors", default="13-24", help="of RAVDESS; default: 13-24")
    parser.add_argument("--clips", type=int, default=120, help="of each corpus; default: 120")
    parser.add_argument("--threshold", type=float, help="another one, to choose")
    parser.add_argument("--webrtc", action="store_true", help="needs webrtcvad-wheels")
    parser.add_argument("--write", type=Path, help="the document that has the tables")
    options = parser.parse_args()
    given = {} if options.threshold is None else {"threshold": options.threshold}
    text = tables(options, HearingSettings(**given))
    if options.write is None:
        print(text)
        return
    shown = shlex.join(sys.argv[1:]).replace(str(options.data), "FOLDER")
    write_section(options.write, "hearing", f"`python benchmarks/hearing.py {shown}`\n\n{text}")


def tables(options: argparse.Namespace, own: HearingSettings) -> str:
    """Measure everything."""
    first, last = map(int, options.actors.split("-"))
    actors = {f"Actor_{number:02}" for number in range(first, last + 1)}
    ravdess = load_corpus("ravdess", options.data / "ravdess").clips
    emodb = load_corpus("emodb", options.data / "emodb").clips
    chosen = {
        f"RAVDESS {options.actors}": spread([c for c in ravdess if c.speaker in actors], options),
        "EMO-DB": spread(emodb, options),
    }
    heading = ["corpus", "noise", "found", "in one piece", "false a minute", "speech kept"]
    rows = [[*heading, "begin: median, 90 %", "end: median, 90 %"]]
    for name, clips in chosen.items():
        alone = Score()
        for clip in clips:
            sound = clip.read()
            alone.add([speech_of(sound)], heard(sound, own, options), own)
            alone.seconds += len(sound) / RATE
        rows.append(alone.row(name, "each clip alone"))
        for snr, colour in itertools.product(SNRS, COLOURS):
            score = Score()
            sound, truth = scene(clips, snr, colour)
            score.seconds = len(sound) / RATE
            score.add(truth, heard(sound, own, options), own)
            rows.append(score.row(name, f"{colour}, {snr} dB"))
    worked = 0.0
    noise = [["noise alone", "utterances"]]
    for colour in COLOURS:
        sound = 0.03 * noise_of(colour, HEARD * RATE, np.random.default_rng(1))
        begun = time.process_time()
        found = len(heard(sound.astype(np.float32), own, options))
        worked += time.process_time() - begun
        noise.append([f"{colour}, {HEARD // 60} minutes", str(found)])
    share = worked / (len(COLOURS) * HEARD)
    cost = f"Listening takes {share:.2%} of one core.\n"
    return f"{markdown_table(rows)}\n{markdown_table(noise)}\n{cost}"


def spread(clips: Sequence[Clip], options: argparse.Namespace) -> list[Clip]:
    """Take some clips, spread evenly over all."""
    places = np.linspace(0, len(clips) - 1, min(options.clips, len(clips))).round()
    return [clips[int(place)] for place in places]


def speech_of(sound: Samples) -> Span:
    """Find the speech in a clean clip by its energy.

    From the first to the last 20 ms that is not much quieter than the loudest; smoothed over 60 ms,
    so that no click counts.
    """
    frame = RATE // 50
    count = len(sound) // frame
    power = np.square(sound[: count * frame].reshape(count, frame).astype(float)).mean(axis=1)
    power = np.convolve(power, np.ones(3) / 3, "same")
    loud = np.flatnonzero(power > power.max() * 10 ** (-QUIETER / 10))
    return float(loud[0] / 50), float((loud[-1] + 1) / 50)


def scene(clips: Sequence[Clip], snr: float, colour: str) -> tuple[Samples, list[Span]]:
    """Set clips one after the other, levelled, with pauses; add noise to all of it.

    The ratio is that of a clip's mean power between its true boundaries to the noise's.
    """
    random = np.random.default_rng(0)
    parts: list[Any] = []
    truth = []
    at = 0.0
    for clip in clips:
        pause = np.zeros(round(random.uniform(*PAUSES) * RATE))
        at += len(pause) / RATE
        sound = clip.read()
        begin, end = speech_of(sound)
        spoken = sound[round(begin * RATE) : round(end * RATE)].astype(float)
        parts += [pause, sound * 10 ** (LEVEL / 20) / np.sqrt(np.mean(spoken**2))]
        truth.append((at + begin, at + end))
        at += len(sound) / RATE
    quiet = np.concatenate([*parts, np.zeros(2 * RATE)])
    noise = noise_of(colour, len(quiet), random) * 10 ** ((LEVEL - snr) / 20)
    return np.clip(quiet + noise, -1, 1).astype(np.float32), truth


def noise_of(colour: str, samples: int, random: np.random.Generator) -> Any:
    """Make noise of mean power one; pink has as much in each octave, from 20 Hz."""
    white = random.standard_normal(samples)
    if colour == "white":
        return white
    spectrum = np.fft.rfft(white)
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 20)
    pink = np.fft.irfft(spectrum / np.sqrt(frequency), samples)
    return pink / pink.std()


def heard(sound: Samples, own: HearingSettings, options: argparse.Namespace) -> list[Span]:
    """Find the utterances."""
    segmenter = Segmenter(own)
    if options.webrtc:
        segmenter._voice = WebRTC(own.threshold)  # noqa: SLF001 - to compare, not to use
    found = segmenter.feed(sound) + segmenter.flush()
    return [(utterance.start, utterance.start + utterance.seconds) for utterance in found]


class WebRTC:
    """WebRTC's detector (mode 2), smoothed as ours is: a majority of the last seven frames."""

    def __init__(self, threshold: float) -> None:
        import webrtcvad

        self._detector = webrtcvad.Vad(2)
        self._scale = 2 * threshold
        self._recent = [False] * 7

    def excess(self, frame: Samples) -> float:
        """Judge a frame as :class:`edge_client.hearing.voice.VoiceActivity` does."""
        whole = (frame * 32767).astype("<i2").tobytes()
        self._recent = [*self._recent[1:], self._detector.is_speech(whole, RATE)]
        return self._scale * sum(self._recent) / 7


def errors(values: Sequence[float]) -> str:
    """Write the median and the 90th percentile of the errors' sizes."""
    sizes = np.abs(values)
    return f"{np.median(sizes):.2f} s, {np.quantile(sizes, 0.9):.2f} s"


if __name__ == "__main__":
    main()
