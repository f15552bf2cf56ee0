"""The scripts in ``examples/`` do what they say, as their reader would run them."""

import re
from pathlib import Path

from edge_client.federation.client_state import remembered
from shared.task import DEFAULT_TASK
from shared.weights import load_weights
from tests.examples.aggregators import serving
from tests.examples.conftest import Run

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_short_and_tried_here() -> None:
    scripts = {path.name: path.read_text() for path in EXAMPLES.glob("*.py")}
    assert scripts.keys() == {"own_strategy.py", "recognise.py", "take_part.py"}
    for name, text in scripts.items():
        assert f"python examples/{name}" in text.partition('"""\n\n')[0], "how to run it"
        assert len(text.splitlines()) < 50


def test_recognise(clips: Path, model: Path, run: Run) -> None:
    few = sorted(clips.glob("*/*.wav"))[:3]
    lines = run(EXAMPLES / "recognise.py", model, *few).stdout.splitlines()
    assert len(lines) == len(few)
    for clip, line in zip(few, lines, strict=True):
        label, _, share = line.removeprefix(f"{clip}: ").partition(" ")
        assert label in DEFAULT_TASK.names
        assert 25 <= int(share.strip("(%)")) <= 100


def test_own_strategy(tmp_path: Path, clips: Path, run: Run) -> None:
    settings = f"corpus=manifest data={clips} protocol=paper clients=2 rounds=2 engine=tflite"
    done = run(EXAMPLES / "own_strategy.py", "lines.png", *settings.split())
    words = [line.split()[:2] for line in done.stdout.splitlines()]
    assert words == [["fedavg:", "UAR"], ["Clipped:", "UAR"]]
    assert "round 2/2" in done.stderr
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["lines.png"]


def test_take_part(tmp_path: Path, clips: Path, run: Run) -> None:
    script = EXAMPLES / "take_part.py"
    (words,) = re.findall(r"^ +aggregator (serve .*)$", script.read_text(), re.MULTILINE)
    with serving(tmp_path, words) as port:
        done = run(script, clips, "my-program", f"127.0.0.1:{port}")
    *shown, last = done.stdout.splitlines()
    rounds = [int(line.split()[1]) for line in shown]
    assert rounds == sorted(set(rounds)), "one may be replaced before it is shown"
    assert rounds[-1] == 3
    assert all(line.endswith(", and was angry") for line in shown)
    assert last == "updates that counted: 3"
    folder = tmp_path / "runs" / "my-program"
    assert load_weights(folder / "model.safetensors")[1].name == "head"
    part = folder / "personal" / "federations" / "chorus"
    assert remembered(part)["accepted"] == 3
