"""Measures the time from an utterance's end to its result: features, recognition, keeping.

    .venv/bin/python benchmarks/recognition.py [--models conv,dense,lstm] [--repeats 100] [--json]

`--encoder FOLDER` measures the encoder alone instead, log-mel included, on one core; in turns with
ctranslate2 in int8, where that is installed. FOLDER is faster-whisper's of tiny.en.

Utterances of 1, 3 and 10 s go through :meth:`edge_client.device.device.Device.hear`, which ends
when whoever looks on has been told and the utterance is in the store. Only ``conv`` has a limit.
On a machine that is shared, give it priority: `chrt --rr 1 .venv/bin/python ...`.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
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
from shared.encoders.encoder import read_encoder  # noqa: E402
from shared.front_ends import FRONT_ENDS, TINY_EN  # noqa: E402
from shared.front_ends.log_mel import log_mel  # noqa: E402
from shared.front_ends.whisper import Encoding  # noqa: E402
from shared.task import DEFAULT_TASK, Task  # noqa: E402
from shared.weights import initial_weights, save_weights  # noqa: E402

LIMIT = 40.0
"""Milliseconds that 9 of 10 utterances may take, with `conv`."""

MELS = 80
"""Bands that tiny.en hears."""

SECONDS = (1, 3, 10)
WARM_UP = 5


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="conv")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument(
        "--encoder", type=Path, metavar="FOLDER", help="faster-whisper's, of tiny.en"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.encoder:
        show_encoders(options.encoder, options.repeats, as_json=options.json)
        return
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
    front_end = FRONT_ENDS.get("whisper-speech" if model == "head" else "paper34")
    task = Task(DEFAULT_TASK.labels, front_end.shape)
    architecture = architecture_of(model, task)
    rng = np.random.default_rng(0)
    weights = initial_weights(architecture, rng)
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder, "given.safetensors")
        save_weights(file, weights, architecture)
        settings = DeviceSettings(
            state=Path(folder, "state"), weights=file, front_end=front_end.shape.name
        )
        device = stack.enter_context(Device(settings))
        for seconds in SECONDS:
            sound = 0.1 * rng.standard_normal(seconds * RATE, np.float32)
            utterance = Utterance(sound.clip(-1, 1), 0.0)
            features, whole = [], []
            for _ in range(repeats + WARM_UP):
                begun = time.perf_counter()
                front_end.compute(utterance.samples)
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


def show_encoders(folder: Path, repeats: int, *, as_json: bool) -> None:
    """Measure the package's encoder, and all layers of a Whisper against ctranslate2."""
    import_encoder = importlib.import_module("converters.encoders.importing").import_encoder
    encoders = {
        "of the package": Encoding(read_encoder(TINY_EN), threads=1).vector,
        "all four layers": Encoding(import_encoder(folder, (3, 4)), threads=1).vector,
    }
    try:
        ctranslate2 = importlib.import_module("ctranslate2")
    except ModuleNotFoundError:
        print("ctranslate2 is not installed: without it.", file=sys.stderr)
    else:
        model = ctranslate2.models.Whisper(
            str(folder), compute_type="int8", intra_threads=1, inter_threads=1
        )

        def reference(samples: Any) -> Any:
            mel = np.ascontiguousarray(log_mel(samples, MELS).T[None])
            return model.encode(ctranslate2.StorageView.from_array(mel), to_cpu=True)

        encoders["ctranslate2, all four"] = reference
    rows = [row for seconds in SECONDS for row in _in_turns(encoders, seconds, repeats)]
    for row in rows if not as_json else []:
        print(f"{row['encoder']:24}{row['seconds']:4} s{row['median']:8.1f} ms")
    if as_json:
        print(json.dumps(rows))


def _in_turns(
    encoders: dict[str, Callable[[Any], Any]], seconds: int, repeats: int
) -> list[dict[str, Any]]:
    """Let encoders hear the same sound in turns, so that a busy machine is busy for all."""
    sound = 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE, np.float32)
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(repeats + WARM_UP):
        for name, encode in encoders.items():
            begun = time.perf_counter()
            encode(sound)
            times[name].append(1000 * (time.perf_counter() - begun))
    return [
        {"encoder": name, "seconds": seconds, "median": float(np.median(taken[WARM_UP:]))}
        for name, taken in times.items()
    ]


if __name__ == "__main__":
    main()
