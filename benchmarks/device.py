r"""What a device recognises of people it has never heard, against what the simulator says of them.

    python benchmarks/device.py --starter ravdess=PATH --copies 2 [--normalisation voice]

or, for any model,

    edge-client simulate --preset best --baseline --no-validation --folds 4 --corpus ravdess \
        --data PATH --out runs/conv
    python benchmarks/device.py runs/conv [MORE RUNS]

Each model was trained without its test speakers: the runs' were, and of a starter's corpus each
fold of speakers is tested with a starter of the others. The utterances of each test speaker, in a
random order, become one recording: pauses of 2 s, and white noise at -70 dBFS over all. A real
device with an empty state (`edge-client run --wav FILE --fast --headless --offline`) hears it. Then
a device for each single mood of each speaker hears that mood alone. All folds are scored together.
Utterances that the device did not cut out, or cut in two, are counted; of two pieces the one with
more of the clip is scored. Beside the devices stands what the simulator says of the same
utterances: clean, as tables of results have it, and in the same noise; the mean over the folds.
Speakers are said on standard error as they are done. Folds that were heard one by one (`--fold`)
add up: `--json` has their confusions.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from edge_client.hearing.segmentation import Segmenter
from edge_client.learning.starter import make_starter, reached_on
from edge_client.simulation.degradations import degraded_clips, vary_in_conditions
from edge_client.simulation.simulating import SimulationResult
from edge_client.simulation.studies.noise_study import study, tested_clips
from edge_client.simulation.study import Corpora
from shared.audio import RATE, Samples, read_clip
from shared.command import progress_console
from shared.corpora import Clip, load_corpus
from shared.features.prior import Prior
from shared.features.start_file import save_model
from shared.front_ends import WHISPER
from shared.metrics import Scores, confusion
from shared.model_notes import NO_NOTES
from shared.randomness import stream
from shared.task import DEFAULT_TASK, Task

EDGE_CLIENT = Path(sys.executable).parent / "edge-client"

MOODS = ("all", "one")
"""What a device hears of its user; as in `--known`."""

Span = tuple[int, int]
"""First sample, and the one behind the last."""


@dataclass(frozen=True)
class Trained:
    """A model, and people whom it has never heard.

    Attributes
    ----------
    task
        What it recognises.
    fold
        Which of the folds of speakers these people are.
    clips
        Of these people.
    options
        What a device is given, besides the recording, to recognise with it.
    clean, noisy
        UAR in the simulator for each of :data:`MOODS`.
    """

    task: Task
    fold: int
    clips: list[Clip]
    options: list[str | Path]
    clean: dict[str, float]
    noisy: dict[str, float]


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
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished simulations")
    parser.add_argument("--starter", metavar="NAME=PATH", help="a corpus to make starters of")
    parser.add_argument("--normalisation", choices=["device", "voice"], default="device")
    parser.add_argument("--copies", type=int, default=0, help="of each clip, in conditions")
    parser.add_argument("--folds", type=int, default=6, help="of the starters' corpus")
    parser.add_argument("--fold", type=int, help="test on this one alone")
    parser.add_argument("--floor", type=float, default=-70.0, help="dBFS of the noise")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between clips")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the noise")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if bool(options.runs) == bool(options.starter):
        parser.error("give finished runs, or --starter")
    with tempfile.TemporaryDirectory() as scratch:
        models = starters(options, Path(scratch)) if options.starter else finished(options)
        rows = measured(list(models), options)
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


def measured(models: list[Trained], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Let devices hear, and give a row for each of :data:`MOODS`."""
    names = models[0].task.names
    rows: list[dict[str, Any]] = []
    for moods in MOODS:
        outcome = Outcome(np.zeros((len(names),) * 2, np.int64))
        for model in models:
            for number, clips in enumerate(recordings(model, moods, options.seed)):
                rng = stream(options.seed, "device benchmark", moods, model.fold, number)
                sound, spans = recording(clips, options.pause, options.floor, rng)
                hear(model, sound, spans, clips, outcome)
                right = np.trace(outcome.confusion) / outcome.confusion.sum()
                done = f"{moods}  {clips[0].speaker}  accuracy until here {right:.3f}\n"
                sys.stderr.write(done)
        rows.append(
            {
                "moods": moods,
                "device": Scores.from_confusion(outcome.confusion, names).uar,
                "simulator": float(np.mean([model.clean[moods] for model in models])),
                "noisy": float(np.mean([model.noisy[moods] for model in models])),
                "clips": outcome.clips,
                "found": int(outcome.confusion.sum()),
                "whole": outcome.whole,
                "confusion": outcome.confusion.tolist(),
            }
        )
    return rows


def finished(options: argparse.Namespace) -> Iterator[Trained]:
    """Give the models of finished runs, and their test speakers."""
    noise = f"white:{options.floor:g}dBFS"
    corpora = Corpora(progress_console())
    for folder in options.runs:
        run = SimulationResult.read(folder)
        settings, names = run.settings, run.task.names
        noisy = study([run], [noise], progress_console())[noise]
        yield Trained(
            run.task,
            settings.fold,
            tested_clips(run, corpora.get(settings)),
            [
                *("--weights", folder / "model.safetensors"),
                *("--front-end", settings.front_end, "--normalisation", settings.normalisation),
            ],
            {moods: run.document["known"][moods]["uar"] for moods in MOODS},
            {moods: Scores.from_confusion(noisy[moods], names).uar for moods in MOODS},
        )


def starters(options: argparse.Namespace, folder: Path) -> Iterator[Trained]:
    """Make a starter for each fold of speakers, of the clips of all others."""
    task = Task(DEFAULT_TASK.labels, WHISPER)
    name, _, path = options.starter.partition("=")
    corpus = load_corpus(name, Path(path), task)
    for number, fold in enumerate(np.array_split(corpus.speakers, options.folds), 1):
        if options.fold not in (None, number):
            continue
        others = tuple(clip for clip in corpus.labelled if clip.speaker not in fold)
        own = [clip for clip in corpus.labelled if clip.speaker in fold]
        made = make_starter(
            [replace(corpus, clips=others)],
            task,
            options.normalisation,
            vary_in_conditions(options.copies, options.seed),
            measured=False,
            progress=False,
        )
        weights = folder / f"{number}.safetensors"
        beside = save_model(weights, made.weights, made.architecture, NO_NOTES, made.begun)
        begun = ["--prior" if isinstance(made.begun, Prior) else "--voice", beside]
        tests = [own, degraded_clips(own, f"white:{options.floor:g}dBFS", options.seed)]
        reached = [reached_on(made, replace(corpus, clips=tuple(test))) for test in tests]
        scores = [{known: uar for known, (uar, _) in found.items()} for found in reached]
        line = ["--weights", weights, *begun, "--front-end", WHISPER.name]
        yield Trained(task, number, own, [*line, "--normalisation", options.normalisation], *scores)


def recordings(model: Trained, moods: str, seed: int) -> Iterator[list[Clip]]:
    """Give the clips that each device hears, in their order: one speaker's, of all moods or one."""
    for speaker in sorted({clip.speaker for clip in model.clips}):
        own = [clip for clip in model.clips if clip.speaker == speaker]
        order = stream(seed, "order", speaker).permutation(len(own))
        shuffled = [own[place] for place in order]
        if moods == "all":
            yield shuffled
            continue
        for label in model.task.names:
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
    model: Trained, sound: Samples, spans: list[Span], clips: list[Clip], outcome: Outcome
) -> None:
    """Let a new device hear a recording, and count what it made of each clip."""
    with tempfile.TemporaryDirectory() as scratch:
        wav = Path(scratch) / "stream.wav"
        soundfile.write(wav, sound, RATE, subtype="PCM_16")
        line = [EDGE_CLIENT, "run", "--wav", wav, "--fast", "--headless", "--offline"]
        line += ["--state", Path(scratch) / "state", "--labels", ",".join(model.task.names)]
        done = subprocess.run(
            [*map(str, [*line, *model.options])],
            capture_output=True,
            text=True,
            check=False,
            timeout=3600,
        )
        if done.returncode:
            sys.exit(done.stderr)
        lines = [json.loads(text) for text in done.stdout.splitlines()]
        cut = utterances_of(read_clip(wav))
    if len(lines) != len(cut):
        sys.exit(f"The device told of {len(lines)} utterances, its segmenter of {len(cut)}.")
    predictions = [text["emotion"] for text in lines]
    index = model.task.index
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
