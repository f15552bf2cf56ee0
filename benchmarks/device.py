r"""What a device recognises of people it has never heard, against what the simulator says of them.

    edge-client simulate --preset best --baseline --no-validation --folds 4 --corpus ravdess \
        --data PATH --out runs/conv
    python benchmarks/device.py runs/conv [MORE RUNS]

Each run's model was trained without its test speakers. The utterances of each of these, in a
random order, become one recording: pauses of 2 s, and white noise at -70 dBFS over all. A real
device with an empty state (`edge-client run --wav FILE --fast --headless --offline`) hears it. Then
a device for each single mood of each speaker hears that mood alone. Several runs (folds) are
scored together. Utterances that the device did not cut out, or cut in two, are counted; of two
pieces the one with more of the clip is scored. Beside the devices stands what the simulator says of
the same utterances: clean, as tables of results have it, and in the same noise.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from edge_client.hearing.segmentation import Segmenter
from edge_client.simulation.noise_study import study, tested_clips
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.simulating import SimulationResult
from edge_client.simulation.study import Corpora
from shared.audio import RATE, Samples, read_clip
from shared.command import progress_console
from shared.corpora import Clip
from shared.metrics import Scores, confusion
from shared.randomness import stream

EDGE_CLIENT = Path(sys.executable).parent / "edge-client"

MOODS = ("all", "one")
"""What a device hears of its user; as in `--known`."""

Span = tuple[int, int]
"""First sample, and the one behind the last."""


@dataclass
class Outcome:
    """What devices made of recordings.

    Attributes
    ----------
    confusion
        Of the utterances that were cut out.
    clips
        How many there were.
    whole
        How many were cut out in one piece.
    """

    confusion: NDArray[np.int64]
    clips: int = 0
    whole: int = 0


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished simulations")
    parser.add_argument("--floor", type=float, default=-70.0, help="dBFS of the noise")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between clips")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the noise")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [SimulationResult.read(folder) for folder in options.runs]
    names = runs[0].task.names
    same_noise = f"white:{options.floor:g}dBFS"
    noisy = study(runs, [same_noise], progress_console())[same_noise]
    outcomes = {moods: Outcome(np.zeros((len(names),) * 2, np.int64)) for moods in MOODS}
    simulated = {moods: np.zeros((len(names),) * 2, np.int64) for moods in MOODS}
    for folder, run in zip(options.runs, runs, strict=True):
        for moods in MOODS:
            simulated[moods] += run.document["known"][moods]["confusion"]
            for number, clips in enumerate(recordings(run.settings, moods, options.seed)):
                rng = stream(options.seed, "device benchmark", moods, run.settings.fold, number)
                sound, spans = recording(clips, options.pause, options.floor, rng)
                hear(run, folder, sound, spans, clips, outcomes[moods])
    rows = [
        {
            "moods": moods,
            "device": Scores.from_confusion(outcome.confusion, names).uar,
            "simulator": Scores.from_confusion(simulated[moods], names).uar,
            "noisy": Scores.from_confusion(noisy[moods], names).uar,
            "clips": outcome.clips,
            "found": int(outcome.confusion.sum()),
            "whole": outcome.whole,
        }
        for moods, outcome in outcomes.items()
    ]
    if options.json:
        print(json.dumps(rows))
        return
    print(
        f"{'moods':8}{'device':>8}{'simulator':>11}{'in this noise':>15}{'clips':>7}  found, whole"
    )
    for row in rows:
        print(
            f"{row['moods']:8}{row['device']:8.3f}{row['simulator']:11.3f}{row['noisy']:15.3f}"
            f"{row['clips']:7}  {row['found']}, {row['whole']}"
        )


def recordings(settings: SimulationSettings, moods: str, seed: int) -> Iterator[list[Clip]]:
    """Give the clips that each device hears, in their order: one speaker's, of all moods or one."""
    clips = tested_clips(settings, Corpora(progress_console()).get(settings))
    for speaker in sorted({clip.speaker for clip in clips}):
        own = [clip for clip in clips if clip.speaker == speaker]
        order = stream(seed, "order", speaker).permutation(len(own))
        shuffled = [own[place] for place in order]
        if moods == "all":
            yield shuffled
            continue
        for label in settings.task.names:
            if alike := [clip for clip in shuffled if clip.label == label]:
                yield alike


def recording(
    clips: list[Clip], pause: float, floor: float, rng: np.random.Generator
) -> tuple[Samples, list[Span]]:
    """Join clips, with pauses, and noise over all; say where each lies."""
    silence = np.zeros(round(pause * RATE), np.float32)
    parts, spans, length = [silence], [], len(silence)
    for clip in clips:
        sound = clip.read()
        spans.append((length, length + len(sound)))
        parts += [sound, silence]
        length += len(sound) + len(silence)
    noise = 10 ** (floor / 20) * rng.standard_normal(length, np.float32)
    return np.clip(np.concatenate(parts) + noise, -1, 1), spans


def hear(
    run: SimulationResult,
    folder: Path,
    sound: Samples,
    spans: list[Span],
    clips: list[Clip],
    outcome: Outcome,
) -> None:
    """Let a new device hear a recording, and count what it made of each clip."""
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch) / "stream.wav"
        soundfile.write(wav, sound, RATE, subtype="PCM_16")
        settings = run.settings
        line = [EDGE_CLIENT, "run", "--wav", wav, "--fast", "--headless", "--offline"]
        line += ["--weights", folder / "model.safetensors", "--state", Path(scratch) / "state"]
        line += ["--labels", ",".join(run.task.names), "--front-end", settings.front_end]
        line += ["--normalisation", settings.normalisation]
        done = subprocess.run(
            [*map(str, line)], capture_output=True, text=True, check=False, timeout=3600
        )
        if done.returncode:
            sys.exit(done.stderr)
        lines = [json.loads(text) for text in done.stdout.splitlines()]
        cut = utterances_of(read_clip(wav))
    if len(lines) != len(cut):
        sys.exit(f"The device told of {len(lines)} utterances, its segmenter of {len(cut)}.")
    predictions = [text["emotion"] for text in lines]
    index = run.task.index
    for clip, (begin, end) in zip(clips, spans, strict=True):
        common = [min(end, last) - max(begin, first) for first, last in cut]
        outcome.clips += 1
        outcome.whole += sum(samples > 0 for samples in common) == 1
        if (best := max(common, default=0)) > 0:
            found = predictions[common.index(best)]
            pair = [index[clip.label or ""]], [index[found]]
            outcome.confusion += confusion(*pair, len(index))


def utterances_of(sound: Samples) -> list[Span]:
    """Cut a recording as the device does: where each utterance begins and ends."""
    segmenter = Segmenter()
    found = [*segmenter.feed(sound), *segmenter.flush()]
    begins = [round(utterance.start * RATE) for utterance in found]
    lengths = [len(utterance.samples) for utterance in found]
    return [(begin, begin + length) for begin, length in zip(begins, lengths, strict=True)]


if __name__ == "__main__":
    main()
