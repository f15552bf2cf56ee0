"""Measures the time from an utterance's end to its result: features, recognition, keeping.

    .venv/bin/python benchmarks/recognition.py [--models conv,head,lstm] [--repeats 100] [--json]

`--encoder FOLDER` measures the encoder alone instead, log-mel included, on one core, in processor
time; in turns with ctranslate2 in int8, where that is installed. FOLDER is faster-whisper's of
tiny.en. `--network FILE` measures a network of `edge-client pretrain` so, in turns with the
package's encoder. `--threads 1,2` measures the package's encoder alone with so many threads, in
turns; the time that passes is what tells these apart. `--memory` measures what a whole device takes
at most that hears about such utterances: `edge-client run --wav --fast --headless --offline` with
the package's model.

Utterances of 1, 3, 5 and 10 s go through :meth:`edge_client.device.device.Device.hear`, until
whoever looks on has been told and the utterance is in the store. The model ``starter`` is the
package's, on a device that keeps 256 utterances already. ``conv`` has a limit, and ``head`` and
``starter`` for 5 s. Beside the time that passed stands the time of all processors, which says more
on a machine that is shared; there, give it priority too: `chrt --rr 1 .venv/bin/python ...`.
"""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `edge-client run` does

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_client.device.device import Device  # noqa: E402 - found by the line above
from edge_client.device.settings import DeviceSettings  # noqa: E402
from edge_client.hearing.utterance import Utterance  # noqa: E402
from shared.architectures import architecture_of  # noqa: E402
from shared.audio import RATE  # noqa: E402
from shared.encoders.encoder import read_encoder  # noqa: E402
from shared.encoders.network import read_network  # noqa: E402
from shared.features.expression import MOST  # noqa: E402
from shared.front_ends import FRONT_ENDS, TINY_EN  # noqa: E402
from shared.front_ends.log_mel import log_mel  # noqa: E402
from shared.front_ends.network import NetworkEncoding  # noqa: E402
from shared.front_ends.whisper import Encoding  # noqa: E402
from shared.starter import STARTER_VOICE  # noqa: E402
from shared.task import DEFAULT_TASK, FrontEndShape, Task  # noqa: E402
from shared.weights import initial_weights, save_weights  # noqa: E402

LIMITS = {"conv": dict.fromkeys((1, 3, 5, 10), 40.0), "head": {5: 30.0}, "starter": {5: 30.0}}
"""Milliseconds that 9 of 10 utterances of so many seconds may take."""

MEMORY_LIMIT = 130.0
"""Megabytes that a device may take with the encoder."""

MELS = 80
"""Bands that tiny.en hears."""

SECONDS = (1, 3, 5, 10)
WARM_UP = 5


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="conv")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument(
        "--encoder", type=Path, metavar="FOLDER", help="faster-whisper's, of tiny.en"
    )
    parser.add_argument("--network", type=Path, metavar="FILE", help="of edge-client pretrain")
    parser.add_argument("--threads", metavar="N,N", help="of the package's encoder")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.memory:
        show_memory()
        return
    if options.threads:
        encoder = read_encoder(TINY_EN)
        counts = map(int, options.threads.split(","))
        by_threads = {f"{n} threads": Encoding(encoder, threads=n).vector for n in counts}
        _show(by_threads, options.repeats, as_json=options.json)
        return
    if options.network:
        show_network(options.network, options.repeats, as_json=options.json)
        return
    if options.encoder:
        show_encoders(options.encoder, options.repeats, as_json=options.json)
        return
    rows = [row for model in options.models.split(",") for row in measure(model, options.repeats)]
    if options.json:
        print(json.dumps(rows))
        return
    print(
        f"{'model':8}{'utterance':>10}{'features':>10}{'all: median':>13}{'90th':>8}"
        f"{'processor: median':>19}{'90th':>8}  ms"
    )
    for row in rows:
        mark = "" if row["holds"] else f"  <- above {row['limit']:g}"
        print(
            f"{row['model']:8}{row['seconds']:8} s{row['features']:10.1f}"
            f"{row['median']:13.1f}{row['p90']:8.1f}"
            f"{row['processor']:19.1f}{row['processor_p90']:8.1f}{mark}"
        )


def measure(model: str, repeats: int) -> list[dict[str, Any]]:
    """Let a device hear utterances of each length."""
    front_end = FRONT_ENDS.get("whisper-speech" if model in ("head", "starter") else "paper34")
    rng = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        device = stack.enter_context(Device(settings_of(model, Path(folder), front_end.shape, rng)))
        ended: list[tuple[float, float]] = []
        device.subscribe(lambda _: ended.append((time.perf_counter(), time.process_time())))
        for _ in range(MOST if model == "starter" else 0):
            device.hear(white(1, rng))
        for seconds in SECONDS:
            utterance = white(seconds, rng)
            features, whole, processor = [], [], []
            for _ in range(repeats + WARM_UP):
                begun = time.perf_counter()
                front_end.compute(utterance.samples)
                between, busy = time.perf_counter(), time.process_time()
                device.hear(utterance)
                told, processed = ended[-1]
                features.append(1000 * (between - begun))
                whole.append(1000 * (told - between))
                processor.append(1000 * (processed - busy))
            p90 = float(np.percentile(whole[WARM_UP:], 90))
            limit = LIMITS.get(model, {}).get(seconds)
            rows.append(
                {
                    "model": model,
                    "seconds": seconds,
                    "features": float(np.median(features[WARM_UP:])),
                    "median": float(np.median(whole[WARM_UP:])),
                    "p90": p90,
                    "processor": float(np.median(processor[WARM_UP:])),
                    "processor_p90": float(np.percentile(processor[WARM_UP:], 90)),
                    "limit": limit,
                    "holds": limit is None or p90 <= limit,
                }
            )
    return rows


def settings_of(
    model: str, folder: Path, front_end: FrontEndShape, rng: np.random.Generator
) -> DeviceSettings:
    """Say what a device recognises with: the package's model, or random weights."""
    state = folder / "state"
    if model == "starter":
        return DeviceSettings(
            state=state,
            front_end=front_end.name,
            starter=True,
            normalisation="voice",
            voice=STARTER_VOICE,
        )
    architecture = architecture_of(model, Task(DEFAULT_TASK.labels, front_end))
    file = folder / "given.safetensors"
    save_weights(file, initial_weights(architecture, rng), architecture)
    return DeviceSettings(state=state, weights=file, front_end=front_end.name)


def white(seconds: int, rng: np.random.Generator) -> Utterance:
    """Make white noise."""
    sound = 0.1 * rng.standard_normal(seconds * RATE, np.float32)
    return Utterance(sound.clip(-1, 1), 0.0)


def show_memory() -> None:
    """Let a device of its own process hear utterances of each length, and print what it took."""
    code = (
        "import sys; from edge_client.cli import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(open('/proc/self/status').read())"
    )
    rng = np.random.default_rng(0)
    noise = 10 ** (-70 / 20) * rng.standard_normal(RATE * (sum(SECONDS) + 2 * len(SECONDS)))
    place = RATE
    for seconds in SECONDS:
        long = seconds * RATE
        syllables = np.arange(long) % (RATE // 4) < RATE // 6  # an even sound is noise to it
        noise[place : place + long] += 0.1 * syllables * rng.standard_normal(long)
        place += long + 2 * RATE
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder, "sound.wav")
        soundfile.write(sound, noise.clip(-1, 1), RATE)
        line = ["run", "--wav", sound, "--fast", "--headless", "--offline", "--state", folder]
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, line)],
            capture_output=True,
            text=True,
            check=False,
        )
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    if done.returncode or peak is None:
        sys.exit(done.stderr)
    heard = [json.loads(said)["seconds"] for said in done.stdout.splitlines()]
    took = int(peak[1]) * 1024 / 1e6
    mark = "" if took <= MEMORY_LIMIT else f"  <- above {MEMORY_LIMIT:g}"
    print(f"{took:.0f} MB at most, for utterances of {heard} s{mark}")


def show_network(file: Path, repeats: int, *, as_json: bool) -> None:
    """Measure a network, its coefficients alone, and the package's encoder."""
    encoders = {
        "encoder of the package": Encoding(read_encoder(TINY_EN), threads=1).vector,
        "network": NetworkEncoding(read_network(file), threads=1).vector,
        "its coefficients": FRONT_ENDS.get("mfcc40").compute,
    }
    _show(encoders, repeats, as_json=as_json)


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
    _show(encoders, repeats, as_json=as_json)


def _show(encoders: dict[str, Callable[[Any], Any]], repeats: int, *, as_json: bool) -> None:
    """Measure encoders at all lengths, and print it."""
    rows = [row for seconds in SECONDS for row in _in_turns(encoders, seconds, repeats)]
    for row in rows if not as_json else []:
        print(
            f"{row['encoder']:24}{row['seconds']:4} s{row['median']:8.1f} ms of the processor"
            f"   passed: {row['passed']:.1f}, 90th {row['passed_p90']:.1f}"
        )
    if as_json:
        print(json.dumps(rows))


def _in_turns(
    encoders: dict[str, Callable[[Any], Any]], seconds: int, repeats: int
) -> list[dict[str, Any]]:
    """Let encoders hear the same sound in turns, so that a busy machine is busy for all."""
    sound = 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE, np.float32)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in encoders}
    for _ in range(repeats + WARM_UP):
        for name, encode in encoders.items():
            begun, busy = time.perf_counter(), time.process_time()
            encode(sound)
            passed, took = time.perf_counter() - begun, time.process_time() - busy
            times[name].append((1000 * took, 1000 * passed))
    rows = []
    for name, measured in times.items():
        took, passed = np.array(measured[WARM_UP:]).T
        rows.append(
            {
                "encoder": name,
                "seconds": seconds,
                "median": float(np.median(took)),
                "passed": float(np.median(passed)),
                "passed_p90": float(np.percentile(passed, 90)),
            }
        )
    return rows


if __name__ == "__main__":
    main()
