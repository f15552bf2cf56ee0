"""What scripts/test-arm64 computes on both processors, and compares.

arm64_probe.py record WAV            write four utterances that are no speech, with pauses
arm64_probe.py compute WAV FOLDER    compute everything with this machine's runtime
arm64_probe.py compare HERE THERE    compare two such folders; fail where they differ too much

If CHORUS_SPEECH names a folder with `ravdess` and `emodb`, some of their clips are recognised, too.
"""
# ruff: noqa: INP001 - a script, run by its path

import json
import math
import os
import platform
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.architectures import Architecture
from shared.weights import Weights

Found = dict[str, NDArray[Any]]

SPEAKERS, CLIPS = 2, 10
"""How many people of each corpus are recognised, and how many clips of each."""

LARGEST = {
    "features": 1e-6,
    "encoder in float32": 1e-5,
    "encoder in int8": 2e-3,
    "logits": 1e-5,
    "trained": 1e-4,
    "utterances": 0.02,
    "speech": 0.02,
}
"""Largest differences, of a tensor's largest value: three times what was found, or more.

Sums are in another order here and there, and float32 rounds by 6e-8. Adam's first step is the sign
of the gradient, so where that is next to nothing its last bits are seen. In int8 a last bit can tip
a value over to the next step; what rounding to int8 changes in all is 3e-3 of this vector.
"""

ANSWERS = 1
"""How many answers of a corpus may differ: two labels can be as good as equally probable."""


def record(path: Path) -> None:
    """Write what a device hears: synthetic utterances above a noise floor."""
    import soundfile

    from shared.audio import RATE
    from shared.corpora.synthetic import load

    rng = np.random.default_rng(0)
    pause = np.float32(1e-4) * rng.standard_normal(2 * RATE, np.float32)
    clips = [clip.read() for clip in load(speakers=1, clips_per_speaker=4).clips]
    parts = [part for clip in clips for part in (pause, clip)]
    soundfile.write(path, np.concatenate([*parts, pause]), RATE, subtype="PCM_16")


def compute(recording: Path, folder: Path) -> None:
    """Compute everything, and write it."""
    from shared.audio import RATE, read_clip
    from shared.tflite import find_runtime

    runtime = find_runtime(said=False)
    sys.stderr.write(f"{runtime.name} {runtime.version} on {platform.machine()} ...\n")
    sound = read_clip(recording)[2 * RATE : 5 * RATE]
    found = heard(sound) | trained() | recognised()
    np.savez(folder / "found.npz", **found)


def heard(sound: NDArray[np.float32]) -> Found:
    """Compute features, the encoder's vector, and the logits of each model of features."""
    from shared.architectures import architecture_of
    from shared.encoders.encoder import CONVOLUTIONS, PRODUCTS, read_encoder
    from shared.frames import pad
    from shared.front_ends import FRONT_ENDS, TINY_EN
    from shared.front_ends.whisper import Encoding
    from shared.inference import Inference
    from shared.task import DEFAULT_TASK, PAPER34

    frames = FRONT_ENDS.get("paper34").compute(sound)
    found = {"features paper34": frames, "features mfcc40": FRONT_ENDS.get("mfcc40").compute(sound)}
    rounded = read_encoder(TINY_EN)
    names = [*CONVOLUTIONS, *(f"layer{n + 1}/{p}" for n in range(rounded.layers) for p in PRODUCTS)]
    whole = {f"{name}/bias": rounded.tensors[f"{name}/bias"] for name in names}
    for name in names:
        kernel, scale = (rounded.tensors[f"{name}/{kind}"] for kind in ("kernel", "scale"))
        whole[f"{name}/kernel"] = (kernel.T * scale).T.astype(np.float32)
    for what, encoder in (("int8", rounded), ("float32", replace(rounded, tensors=whole))):
        found[f"encoder in {what}"] = Encoding(encoder).vector(sound)
    for name in ("dense", "conv", "lstm", "tdnn"):
        architecture = architecture_of(name, DEFAULT_TASK)
        inference = Inference(architecture, drawn(architecture))
        found[f"logits of {name}"] = inference.logits(pad(frames, PAPER34), len(frames))
    return found


def trained() -> Found:
    """Train one step of conv, of conv's head, and of a head for the encoder's vectors."""
    from edge_client.tflite.engine import TfliteEngine
    from shared.architectures import architecture_of
    from shared.starter import STARTER_TASK
    from shared.task import DEFAULT_TASK
    from shared.training import TrainingSettings
    from shared.weights import split

    found: Found = {}
    for what, task, name, head_only in (
        ("conv", DEFAULT_TASK, "conv", False),
        ("conv's head", DEFAULT_TASK, "conv", True),
        ("head", STARTER_TASK, "head", False),
    ):
        architecture = architecture_of(name, task)
        weights, engine = drawn(architecture), TfliteEngine(architecture)
        shape = (20, architecture.frames, architecture.features)
        batch = np.random.default_rng(2).standard_normal(shape, np.float32)
        lengths = np.full(20, architecture.frames, np.int32)
        labels = (np.arange(20) % 4).astype(np.int32)
        engine.begin(weights, TrainingSettings(head_only=head_only), anchor=weights)
        found[f"trained {what}/loss"] = np.array([engine.step(batch, lengths, labels, 1)])
        after = split(engine.weights(), architecture)
        found |= {f"trained {what}/{name}": tensor for name, tensor in after.items()}
    return found


def drawn(architecture: Architecture) -> Weights:
    """Draw weights none of whose tensors is zero: Adam's first step would be its sign only."""
    weights = np.random.default_rng(1).standard_normal(architecture.parameters, np.float32)
    for spec in architecture.manifest:
        weights[spec.where] *= max(math.prod(spec.shape[:-1]), 9) ** -0.5
    return weights


def recognised() -> Found:
    """Recognise clips of real speech by the package's model, each speaker's as a device would."""
    from edge_client import Recogniser
    from shared.audio import RATE
    from shared.corpora import load_corpus
    from shared.starter import STARTER

    found: Found = {}
    speech = os.environ.get("CHORUS_SPEECH")
    if not speech:
        return found
    for name in ("ravdess", "emodb"):
        spoken = defaultdict(list)
        for clip in load_corpus(name, Path(speech) / name).clips:
            if clip.label:
                spoken[clip.speaker].append(clip)
        answers = []
        for clips in list(spoken.values())[:SPEAKERS]:
            recogniser = Recogniser(STARTER)
            for number in np.random.default_rng(3).permutation(len(clips))[:CLIPS]:
                answer = recogniser.recognise((clips[number].read(), RATE))
                answers.append(list(answer.probabilities.values()))
        found[f"speech of {name}"] = np.array(answers)
    return found


def utterances(folder: Path) -> NDArray[Any]:
    """Read what the command said of the recording: probabilities of each utterance."""
    lines = (folder / "utterances.json").read_text().splitlines()
    return np.array([list(json.loads(line)["probabilities"].values()) for line in lines])


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Give the largest difference, of the largest value; infinite if they cannot be compared."""
    if a.shape != b.shape or not a.size:
        return np.inf
    error = float(np.abs(a - b).max() / np.abs(a).max())
    return error if np.isfinite(error) else np.inf


def compare(one: Path, other: Path) -> None:
    """Print the largest differences; fail where they are too large."""
    with np.load(one / "found.npz") as here, np.load(other / "found.npz") as there:
        pairs = {name: (here[name], there[name]) for name in here}
    pairs["utterances of the command"] = (utterances(one), utterances(other))
    worst: dict[str, float] = defaultdict(float)
    faults: list[str] = []
    for name, (a, b) in pairs.items():
        what = name.partition("/")[0]
        worst[what] = max(worst[what], difference(a, b))
        if name.startswith("speech") and a.shape == b.shape:
            differ = int((a.argmax(1) != b.argmax(1)).sum())
            sys.stdout.write(f"  {name}: {differ} of {len(a)} answers differ\n")
            if differ > ANSWERS:
                faults.append(f"Of {name}, {differ} answers differ; at most {ANSWERS} should.")
    for what, error in worst.items():
        most = next(bound for start, bound in LARGEST.items() if what.startswith(start))
        sys.stdout.write(f"  {what}: {error:.1e} (at most {most:.0e})\n")
        if not error <= most:
            faults.append(f"{what}: {error:.1e} of the largest value is more than {most:.0e}.")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    step, *paths = sys.argv[1:]
    steps: list[Callable[..., None]] = [record, compute, compare]
    {each.__name__: each for each in steps}[step](*map(Path, paths))
