"""How long features take, on one core: per utterance, against their references, and of real time.

    python benchmarks/features.py --data FOLDER   # real speech, of any layout
    python benchmarks/features.py --json          # synthetic noise, for a program

Each front end and its reference take turns on the same clips in the same run, so that a busy
machine slows both, and processor time is measured, not waiting. Best times are given beside
medians: the best is what the work takes, the rest is the machine's other business.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 10.1
"""100 frames of paper34: the most an utterance can have."""

TURNS = 40
"""Runs of ours per utterance; the references get fewer."""

REFERENCE_TURNS = 3


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder with clips; synthetic noise if absent")
    parser.add_argument("--utterances", type=int, default=5, help="of 10.1 s each; default: 5")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    pin_to_one_core()
    clips = utterances(options.data, options.utterances)
    result = {
        "utterances": len(clips),
        "data": "speech" if options.data else "noise",
        "paper34": measure("paper34", clips, by_py_audio_analysis),
        "mfcc40": measure("mfcc40", clips, by_librosa),
    }
    print(json.dumps(result) if options.json else table(result))


def pin_to_one_core() -> None:
    """Keep to one core and one thread; to be called before NumPy is imported."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def utterances(folder: Path | None, count: int) -> list[Any]:
    """Cut utterances of 10.1 s from speech (clips one after the other), or make them of noise."""
    import numpy as np

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from shared.audio import RATE, read_clip
    from shared.audio.clip_search import clips_below

    length = round(SECONDS * RATE)
    if folder is None:
        noise = np.random.default_rng(0).uniform(-1, 1, (count, length))
        return list(noise.astype(np.float32))
    sound = np.empty(0, np.float32)
    for path in clips_below(folder):
        if len(sound) >= count * length:
            break
        sound = np.concatenate([sound, read_clip(path)])
    cut = [sound[at : at + length] for at in range(0, len(sound) - length + 1, length)]
    if not cut:
        sys.exit(f"{folder} holds less than {SECONDS} s of speech")
    return cut[:count]


def measure(name: str, clips: list[Any], reference: Callable[[Any], object]) -> dict[str, Any]:
    """Time a front end and its reference in turns.

    Returns
    -------
    dict
        ``ours_ms`` and ``reference_ms`` (best and median of one utterance), ``speedup`` (medians
        of the same run), ``share_of_real_time`` (median).
    """
    from shared.front_ends import FRONT_ENDS

    ours, other = [], []
    compute = FRONT_ENDS.get(name).compute
    for clip in clips:
        compute(clip)
        reference(clip)
        for turn in range(TURNS):
            ours.append(seconds(compute, clip))
            if turn % (TURNS // REFERENCE_TURNS) == 0:
                other.append(seconds(reference, clip))
    median, of_reference = statistics.median(ours), statistics.median(other)
    return {
        "ours_ms": {"best": min(ours) * 1e3, "median": median * 1e3},
        "reference_ms": {"best": min(other) * 1e3, "median": of_reference * 1e3},
        "speedup": of_reference / median,
        "share_of_real_time": median / SECONDS,
    }


def by_py_audio_analysis(clip: Any) -> object:
    """Compute what ``paper34`` does."""
    import numpy as np
    from pyAudioAnalysis.ShortTermFeatures import feature_extraction

    from shared.audio import RATE
    from shared.front_ends.paper34 import HOP, WINDOW

    return feature_extraction(clip.astype(np.float64) * 32768, RATE, WINDOW, HOP, deltas=False)


def by_librosa(clip: Any) -> object:
    """Compute what ``mfcc40`` does."""
    import librosa

    return librosa.feature.mfcc(y=clip, sr=16_000, n_mfcc=40, n_fft=400, hop_length=160)


def seconds(function: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    """Time one call: what the core works, not what it waits while others have it."""
    begun = time.process_time()
    function(*arguments, **options)
    return time.process_time() - begun


def table(result: dict[str, Any]) -> str:
    """Set the result as a table, with what it should be."""
    head = f"{result['utterances']} utterances of {result['data']}, one core"
    lines = [f"{head:34}{'best':>10}{'median':>10}{'target':>10}"]
    for name, reference, faster in (
        ("paper34", "pyAudioAnalysis", ">= 20"),
        ("mfcc40", "librosa", ""),
    ):
        own = result[name]
        ours, other = own["ours_ms"], own["reference_ms"]
        rows = [
            (f"{name}, 10.1 s", f"{ours['best']:.1f} ms", f"{ours['median']:.1f} ms", "< 6 ms"),
            (
                f"{reference} on the same",
                f"{other['best']:.1f} ms",
                f"{other['median']:.1f} ms",
                "",
            ),
            ("times faster", "", f"{own['speedup']:.1f}", faster),
            ("share of real time", "", f"{own['share_of_real_time']:.3%}", "< 1 %"),
        ]
        lines += [f"{what:34}{best:>10}{median:>10}{goal:>10}" for what, best, median, goal in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
