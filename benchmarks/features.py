"""How long features take, on one core: per utterance, against pyAudioAnalysis, and of real time.

    python benchmarks/features.py --data FOLDER   # real speech, of any layout
    python benchmarks/features.py --json          # synthetic noise, for a program

Ours and the reference take turns on the same clips in the same run, so that a busy machine slows
both, and processor time is measured, not waiting. Best times are given beside medians: the best is
what the work takes, the rest is the machine's other business.
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
"""100 frames: the most an utterance can have."""

TURNS = 40
"""Runs of ours per utterance; the reference, 25 times slower, gets fewer."""

REFERENCE_TURNS = 3


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder with clips; synthetic noise if absent")
    parser.add_argument("--utterances", type=int, default=5, help="of 10.1 s each; default: 5")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    pin_to_one_core()
    result = measure(utterances(options.data, options.utterances))
    result["data"] = "speech" if options.data else "noise"
    print(json.dumps(result) if options.json else table(result))


def pin_to_one_core() -> None:
    """Keep to one core and one thread; to be called before NumPy is imported."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def utterances(folder: Path | None, count: int) -> list[Any]:
    """Cut utterances of 10.1 s from speech (clips one after the other), or make them of noise."""
    import numpy as np

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from shared.audio import RATE, clips_below, read_clip

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


def measure(clips: list[Any]) -> dict[str, Any]:
    """Time ours and the reference in turns.

    Returns
    -------
    dict
        ``ours_ms`` and ``reference_ms`` (best and median of one utterance), ``speedup`` (medians
        of the same run), ``share_of_real_time`` (median).
    """
    import numpy as np
    from pyAudioAnalysis.ShortTermFeatures import feature_extraction

    from shared.audio import RATE
    from shared.front_ends.paper34 import HOP, WINDOW, frame_features

    ours, reference = [], []
    for clip in clips:
        scaled = clip.astype(np.float64) * 32768
        frame_features(clip)
        for turn in range(TURNS):
            ours.append(seconds(frame_features, clip))
            if turn % (TURNS // REFERENCE_TURNS) == 0:
                reference.append(
                    seconds(feature_extraction, scaled, RATE, WINDOW, HOP, deltas=False)
                )
    own, other = statistics.median(ours), statistics.median(reference)
    return {
        "utterances": len(clips),
        "ours_ms": {"best": min(ours) * 1e3, "median": own * 1e3},
        "reference_ms": {"best": min(reference) * 1e3, "median": other * 1e3},
        "speedup": other / own,
        "share_of_real_time": own / SECONDS,
    }


def seconds(function: Callable[..., Any], *arguments: Any, **options: Any) -> float:
    """Time one call: what the core works, not what it waits while others have it."""
    begun = time.process_time()
    function(*arguments, **options)
    return time.process_time() - begun


def table(result: dict[str, Any]) -> str:
    """Set the result as a table, with what it should be."""
    ours, reference = result["ours_ms"], result["reference_ms"]
    rows = [
        ("one utterance of 10.1 s", f"{ours['best']:.1f} ms", f"{ours['median']:.1f} ms", "< 6 ms"),
        (
            "pyAudioAnalysis on the same",
            f"{reference['best']:.0f} ms",
            f"{reference['median']:.0f} ms",
            "",
        ),
        ("times faster", "", f"{result['speedup']:.0f}", ">= 20"),
        ("share of real time", "", f"{result['share_of_real_time']:.3%}", "< 1 %"),
    ]
    head = f"{result['utterances']} utterances of {result['data']}, one core"
    lines = [f"{head:34}{'best':>10}{'median':>10}{'target':>10}"]
    lines += [f"{name:34}{best:>10}{median:>10}{target:>10}" for name, best, median, target in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
