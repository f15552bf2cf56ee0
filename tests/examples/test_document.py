"""What docs/python.md shows runs, as it stands there."""

import importlib
import re
import shutil
from pathlib import Path

import pytest

from shared.task import DEFAULT_TASK
from shared.weights import load_weights
from tests.examples.aggregators import serving
from tests.examples.conftest import Run

DOCUMENT = Path(__file__).parents[2] / "docs" / "python.md"
TEXT = DOCUMENT.read_text("utf-8")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Name the file that a block is written to."""
    return tmp_path / "script.py"


def block(heading: str) -> str:
    """Give the program under a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return str(program)


def test_every_program_is_tried_here() -> None:
    assert TEXT.count("```python\n") == 4


def test_recognise_a_clip(tmp_path: Path, clips: Path, model: Path, run: Run, script: Path) -> None:
    assert model.name == "model.safetensors"
    shutil.copy(next(clips.glob("*/*.wav")), tmp_path / "clip.wav")
    script.write_text(block("Recognise a clip"))
    assert run(script).stdout.split()[0] in DEFAULT_TASK.names


def test_simulate_a_federation(tmp_path: Path, run: Run, script: Path) -> None:
    script.write_text(block("Simulate a federation"))
    uar, *_ = run(script).stdout.splitlines()
    assert 0 <= float(uar) <= 1
    assert load_weights(tmp_path / "model.safetensors")[1].name == "conv"


def test_take_part_in_a_federation(tmp_path: Path, clips: Path, run: Run, script: Path) -> None:
    program = block("Take part in a federation")
    for name in re.findall(r"\"(\w+/\d\.wav)\"", program):
        (tmp_path / name).parent.mkdir()
        shutil.copy(next(clips.glob(f"{name.split('/')[0]}/*.wav")), tmp_path / name)
    words = "serve --embedded-broker --quorum 1 --rounds 1 --least-examples 1 --new-examples 0"
    with serving(tmp_path, words) as port:
        script.write_text(program.replace("127.0.0.1:1883", f"127.0.0.1:{port}"))
        lines = run(script).stdout.splitlines()
    assert lines[-2:] == ["1 rounds have made runs/kitchen/model.safetensors", "1"]


def test_things_of_your_own(run: Run, script: Path) -> None:
    script.write_text(block("Things of your own"))
    name, uar = run(script).stdout.split()
    assert name == "slow"
    assert 0 <= float(uar) <= 1


def test_the_registries_are_where_it_says_and_take_entry_points() -> None:
    rows = re.findall(r"^\| `([\w.]+)\.([A-Z_]+)` \| `(chorus\.\w+)` \|", TEXT, re.MULTILINE)
    assert len(rows) == 6
    for module, name, group in rows:
        assert getattr(importlib.import_module(module), name).group == group
