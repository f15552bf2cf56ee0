"""The scripts in ``examples/`` do what they say, as their reader would run them."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_client.federation.client_state import remembered
from shared.architectures import architecture_of
from shared.audio import RATE
from shared.corpora import load_corpus
from shared.task import DEFAULT_TASK
from shared.weights import initial_weights, load_weights, save_weights
from tests.brokers import free_port
from tests.end_to_end.federation.processes import Process

EXAMPLES = Path(__file__).parents[2] / "examples"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write clips of one voice into folders named by label."""
    folder = tmp_path_factory.mktemp("clips")
    for number, clip in enumerate(load_corpus("synthetic", speakers=1, clips_per_speaker=20).clips):
        path = folder / str(clip.label) / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, clip.read(), RATE)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give scripts no settings of whoever runs the tests, and a cache of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}
    return {**kept, "CHORUS_CACHE": str(tmp_path_factory.mktemp("cache"))}


def run(
    name: str, *words: str | Path, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )


def test_every_example_is_short_and_tried_here() -> None:
    scripts = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert scripts.keys() == {"own_strategy.py", "recognise.py", "take_part.py"}
    for name, text in scripts.items():
        assert f"python examples/{name}" in text.partition('"""\n\n')[0], "how to run it"
        assert len(text.splitlines()) < 50


def test_recognise(tmp_path: Path, clips: Path, environment: dict[str, str]) -> None:
    conv = architecture_of("conv", DEFAULT_TASK)
    model = tmp_path / "model.safetensors"
    save_weights(model, initial_weights(conv, np.random.default_rng(0)), conv)
    few = sorted(clips.glob("*/*.wav"))[:3]
    lines = run(
        "recognise.py", model, *few, folder=tmp_path, environment=environment
    ).stdout.splitlines()
    assert len(lines) == len(few)
    for clip, line in zip(few, lines, strict=True):
        label, _, share = line.removeprefix(f"{clip}: ").partition(" ")
        assert label in DEFAULT_TASK.names
        assert 25 <= int(share.strip("(%)")) <= 100


def test_own_strategy(tmp_path: Path, clips: Path, environment: dict[str, str]) -> None:
    settings = f"corpus=manifest data={clips} protocol=paper clients=2 rounds=2 engine=tflite"
    done = run(
        "own_strategy.py", "lines.png", *settings.split(), folder=tmp_path, environment=environment
    )
    words = [line.split()[:2] for line in done.stdout.splitlines()]
    assert words == [["fedavg:", "UAR"], ["Clipped:", "UAR"]]
    assert "round 2/2" in done.stderr
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["lines.png"]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Serve a federation as the example's text says, on a port of its own; give that."""
    text = (EXAMPLES / "take_part.py").read_text()
    (line,) = re.findall(r"^ +aggregator (serve .*)$", text, re.MULTILINE)
    port = free_port()
    where = f" --port {port} --state {tmp_path / 'aggregator'}"
    process = Process(tmp_path / "aggregator.log", BIN / "aggregator", *(line + where).split())
    yield port
    process.kill()


def test_take_part(tmp_path: Path, clips: Path, environment: dict[str, str], port: int) -> None:
    done = run(
        "take_part.py",
        clips,
        "my-program",
        f"127.0.0.1:{port}",
        folder=tmp_path,
        environment=environment,
    )
    *shown, last = done.stdout.splitlines()
    rounds = [int(line.split()[1]) for line in shown]
    assert rounds == sorted(set(rounds)), "one may be replaced before it is shown"
    assert rounds[-1] == 3
    assert all(line.endswith(", and was angry") for line in shown)
    assert last == "updates that counted: 3"
    folder = tmp_path / "runs" / "my-program"
    assert load_weights(folder / "model.safetensors")[1].name == "conv"
    part = folder / "personal" / "federations" / "chorus"
    assert remembered(part)["accepted"] == 3
