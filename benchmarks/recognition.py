"""Measures the time from an utterance's end to its result: features, recognition, keeping.

    .venv/bin/python benchmarks/recognition.py [--models conv,dense,lstm] [--repeats 100] [--json]

Utterances of 1, 3 and 10 s go through :meth:`edge_client.device.device.Device.hear`, which ends
when whoever looks on has been told and the utterance is in the store. Only ``conv`` has a limit.
On a machine that is shared, give it priority: `chrt --rr 1 .venv/bin/python ...`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_client.device.device import Device  # noqa: E402 - found by the line above
from edge_client.device.settings import DeviceSettings  # noqa: E402
from edge_client.hearing.utterance import Utterance  # noqa: E402
from shared.architectures import architecture_of  # noqa: E402
from shared.audio import RATE  # noqa: E402
from shared.front_ends.paper34 import frame_features  # noqa: E402
from shared.task import DEFAULT_TASK  # noqa: E402
from shared.weights import digest, initial_weights  # noqa: E402

LIMIT = 40.0
"""Milliseconds that 9 of 10 utterances may take, with `conv`."""

SECONDS = (1, 3, 10)
WARM_UP = 5


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="conv")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row for model in options.models.split(",") for row in measure(model, options.repeats)]
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'model':8}{'utterance':>10}{'features':>10}{'all: median':>13}{'90th':>8}  ms")
    for row in rows:
        mark = "" if row["holds"] else f"  <- above {LIMIT:g}"
        print(
            f"{row['model']:8}{row['seconds']:8} s{row['features']:10.1f}"
            f"{row['median']:13.1f}{row['p90']:8.1f}{mark}"
        )


def measure(model: str, repeats: int) -> list[dict[str, Any]]:
    """Let a device hear utterances of each length."""
    architecture = architecture_of(model, DEFAULT_TASK)
    rng = np.random.default_rng(0)
    weights = initial_weights(architecture, rng)
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Device(DeviceSettings(state=Path(folder))) as device,
    ):
        device.use_weights(weights, digest(weights, architecture), architecture)
        for seconds in SECONDS:
            sound = 0.1 * rng.standard_normal(seconds * RATE, np.float32)
            utterance = Utterance(sound.clip(-1, 1), 0.0)
            features, whole = [], []
            for _ in range(repeats + WARM_UP):
                begun = time.perf_counter()
                frame_features(utterance.samples)
                between = time.perf_counter()
                device.hear(utterance)
                features.append(1000 * (between - begun))
                whole.append(1000 * (time.perf_counter() - between))
            p90 = float(np.percentile(whole[WARM_UP:], 90))
            rows.append(
                {
                    "model": model,
                    "seconds": seconds,
                    "features": float(np.median(features[WARM_UP:])),
                    "median": float(np.median(whole[WARM_UP:])),
                    "p90": p90,
                    "limit": LIMIT if model == "conv" else None,
                    "holds": model != "conv" or p90 <= LIMIT,
                }
            )
    return rows


if __name__ == "__main__":
    main()
