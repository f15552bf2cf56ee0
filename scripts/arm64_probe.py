"""What scripts/test-arm64 computes on both processors: `probe.py OUT`, `--compare ONE OTHER`.

Recognises a clip with all models, and trains one step of conv, of all layers and of the head.
"""
# ruff: noqa: INP001 - a script, run by its path

import sys
import tempfile
from pathlib import Path

import numpy as np

from shared.architectures import Architecture
from shared.weights import Weights

RECOGNISED = 1e-5
LARGEST = {"trained": 1e-4, "encoder": 2e-2}
"""Largest errors, of a tensor's largest value: as between a runtime and Keras; of an encoder that
rounds its inputs to int8, which a last bit can tip over, as of the rounding itself."""


def compute(out: Path) -> None:
    """Compute everything, and write it."""
    import soundfile

    from edge_client.tflite.engine import TfliteEngine
    from shared.architectures import architecture_of
    from shared.frames import pad
    from shared.front_ends import FRONT_ENDS
    from shared.front_ends.clips import clip_features
    from shared.inference import Inference
    from shared.task import DEFAULT_TASK, PAPER34
    from shared.training import TrainingSettings
    from shared.weights import initial_weights, split

    def drawn(architecture: Architecture) -> Weights:
        """Draw weights none of whose tensors is zero: Adam's first step would be its sign only."""
        draw = np.random.default_rng(1)
        weights = initial_weights(architecture, draw)
        return weights + np.float32(0.02) * draw.standard_normal(weights.size, np.float32)

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.wav"
        times = np.arange(48_000) / 16_000
        sound = np.sin(2 * np.pi * 220 * times * (1 + times / 9)) + rng.normal(0, 0.1, times.size)
        soundfile.write(clip, sound / 4, 16_000)
        frames = clip_features(clip, FRONT_ENDS.get("paper34"))
        vector = clip_features(clip, FRONT_ENDS.get("whisper-speech"))
    features = pad(frames, PAPER34)
    found = {"features": features, "encoder vector": vector}
    for name in ("dense", "conv", "lstm", "tdnn"):
        architecture = architecture_of(name, DEFAULT_TASK)
        inference = Inference(architecture, drawn(architecture))
        found[f"{name} logits"] = inference.logits(features, len(frames))
    conv = architecture_of("conv", DEFAULT_TASK)
    weights = drawn(conv)
    engine = TfliteEngine(conv)
    batch = rng.standard_normal((20, *features.shape), np.float32)
    lengths = np.full(20, len(features), np.int32)
    labels = (np.arange(20) % 4).astype(np.int32)
    for what, head_only in (("trained", False), ("trained head", True)):
        engine.begin(weights, TrainingSettings(head_only=head_only), anchor=weights)
        found[f"{what} loss"] = np.array([engine.step(batch, lengths, labels, 1)])
        after = split(engine.weights(), conv)
        found |= {f"{what} {name}": tensor for name, tensor in after.items()}
    np.savez(out, **found)


def compare(one: Path, other: Path) -> None:
    """Fail unless both processors computed the same."""
    with np.load(one) as here, np.load(other) as there:
        for name in here:
            error = np.abs(here[name] - there[name]).max() / np.abs(here[name]).max()
            sys.stdout.write(f"{name}: {error:.1e}\n")
            if not error <= LARGEST.get(name.split()[0], RECOGNISED):
                sys.exit(f"{name} differs by {error:.1e} of its largest value")


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        compare(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        compute(Path(sys.argv[1]))
