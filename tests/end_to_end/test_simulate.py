"""``edge-client simulate`` in processes of its own, and what it leaves behind."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.architectures import architecture_of
from shared.command import INTERRUPTED
from shared.task import DEFAULT_TASK
from shared.weights import load_weights
from tests.end_to_end.conftest import EDGE_CLIENT, Command, Outcome

pytestmark = pytest.mark.usefixtures("environment")

FILES = {
    ".lock",
    "config.toml",
    "confusion.png",
    "history.png",
    "model.safetensors",
    "partition.png",
    "reliability.png",
    "result.json",
    "rounds.csv",
}
KEYS = {
    *("accuracy", "uar", "precision", "recall", "macro_f1", "classes", "confusion"),
    *("seconds", "seconds_per_round", "bytes_up_per_round", "bytes_down_per_round"),
    *("peak_memory_mb", "seed", "settings", "versions"),
}
ROUNDS = 8


def command(corpus: Path, out: Path, *more: str) -> list[str]:
    """Give a command line with SCAFFOLD, which has the most to remember."""
    line = (
        f"simulate --corpus manifest --data {corpus} --folds 3 --clients 3 --rounds {ROUNDS} "
        "--strategy scaffold --optimizer sgd --learning-rate 0.01 --steps 1 --batch-size 4 "
        f"--client-dropout 0.2 --engine tflite --out {out}"
    )
    return [str(EDGE_CLIENT), *line.split(), *more]


def until(
    arguments: list[str], words: str, end: Callable[[subprocess.Popen[str]], None]
) -> Outcome:
    """Run a command until it says some words; then end it."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            end(process)
            break
    out, rest = process.communicate()
    return Outcome(process.returncode, out, said + rest)


def test_stopped_killed_and_resumed_is_the_same_as_uninterrupted(
    small_corpus: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    made = subprocess.run(
        command(small_corpus, whole, "--json"), capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout)
    check_folder(whole, result)
    assert f"round {ROUNDS}/{ROUNDS}" in made.stderr
    assert "5 clips were skipped." in made.stderr
    for name in ("nan", "empty", "ten-milliseconds", "eleven-minutes", "no-audio"):
        assert f"skipped {name}.wav: " in made.stderr

    arguments = command(small_corpus, parts)
    stopped = until(arguments, "round 2/", lambda process: process.send_signal(signal.SIGINT))
    assert stopped.code == INTERRUPTED, stopped.err
    assert f"{parts} keeps what was reached" in stopped.err
    assert "--resume" in stopped.err
    assert "Traceback" not in stopped.err
    assert not (parts / "result.json").exists()
    load_weights(parts / "model.safetensors", architecture_of("conv", DEFAULT_TASK))

    killed = until([*arguments, "--resume"], "round 5/", lambda process: process.kill())
    assert killed.code == -signal.SIGKILL
    assert "round 1/" not in killed.err, "it went on"

    ended = subprocess.run([*arguments, "--resume"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "UAR" in ended.stdout
    weights = [
        load_weights(folder / "model.safetensors", architecture_of("conv", DEFAULT_TASK))
        for folder in (whole, parts)
    ]
    assert weights[0].tobytes() == weights[1].tobytes()
    after = json.loads((parts / "result.json").read_text())
    assert after["confusion"] == result["confusion"]
    assert after["chosen_round"] == result["chosen_round"]


def check_folder(folder: Path, result: dict[str, Any]) -> None:
    """Check everything that a run leaves behind."""
    assert {path.name for path in folder.iterdir()} == FILES
    assert json.loads((folder / "result.json").read_text()) == result
    assert result.keys() >= KEYS
    assert sum(map(sum, result["confusion"])) == result["utterances"]["test"] == 16
    assert len(result["utterances"]["skipped"]) == 5
    assert result["versions"].keys() >= {"chorus-edge", "numpy", "python", "keras"}
    assert result["peak_memory_mb"] > 100
    for emotion in ("angry", "happy", "neutral", "sad"):
        scores = result["classes"][emotion]
        assert scores.keys() == {"precision", "recall", "f1", "support"}
        assert scores["support"] == 4
    with (folder / "rounds.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["round"]) for row in rows] == list(range(1, ROUNDS + 1))
    for name in ("confusion", "history", "partition", "reliability"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_help_needs_nothing_heavy() -> None:
    script = """
        import sys
        from edge_client.cli import app
        for line in ("", "simulate", "experiment", "experiment one", "features", "corpora", "run"):
            app([*line.split(), "--help"], standalone_mode=False)
        heavy = {"keras", "librosa", "matplotlib", "numpy", "sklearn", "soundfile", "tensorflow"}
        heavy |= {"starlette", "uvicorn"}
        print("heavy:", *sorted(heavy & sys.modules.keys()))
    """
    code = "\n".join(line.strip(" ") for line in script.splitlines()).replace("\napp(", "\n app(")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "heavy:"
    assert "Example: edge-client simulate" in done.stdout


LINE = "--folds 3 --clients 3 --rounds 2 --learning-rate 0.01 --strategy fedadam --tau 0.01"


def same_model(one: Path, other: Path) -> bool:
    return (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_a_toml_file_equals_the_same_options(
    edge_client: Command, small_corpus: Path, tmp_path: Path, no_pictures: None
) -> None:
    assert no_pictures is None
    corpus = ["--corpus", "manifest", "--data", str(small_corpus)]
    first = edge_client("simulate", *corpus, *LINE.split(), "--out", tmp_path / "flags")
    assert first.code == 0, first.err
    config = tmp_path / "flags" / "config.toml"
    second = edge_client("simulate", "--config", config, "--out", tmp_path / "toml")
    assert second.code == 0, second.err
    assert same_model(tmp_path / "flags", tmp_path / "toml")
    assert (tmp_path / "toml" / "config.toml").read_text() == config.read_text()
    third = edge_client(
        "simulate", "--config", config, "--seed", "1", "--out", tmp_path / "other", "--json"
    )
    assert json.loads(third.out)["seed"] == 1
    assert not same_model(tmp_path / "flags", tmp_path / "other")


def test_seeds_give_mean_and_standard_deviation(
    edge_client: Command, small_corpus: Path, tmp_path: Path, no_pictures: None
) -> None:
    assert no_pictures is None
    line = ["simulate", "--corpus", "manifest", "--data", small_corpus, *LINE.split()]
    out = tmp_path / "seeds"
    made = edge_client(*line, "--seeds", "2", "--json", "--out", out)
    assert made.code == 0, made.err
    summary = json.loads(made.out)
    assert summary["seeds"] == [0, 1]
    each = [
        json.loads((out / f"seed-{seed}-fold-1" / "result.json").read_text()) for seed in (0, 1)
    ]
    for metric in ("accuracy", "uar", "precision", "recall", "macro_f1"):
        values = [result[metric] for result in each]
        assert summary["mean"][metric] == pytest.approx(sum(values) / 2)
        assert summary["std"][metric] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    written = json.loads((out / "result.json").read_text())
    assert written == {"summary": "simulate", **summary}
    more = edge_client(*line, "--seeds", "3", "--resume", "--out", out)
    assert more.code == 0, more.err
    assert "mean of 3 seeds" in more.out
    assert "seed-0-fold-1  round" not in more.err, "the first two were not made again"
    assert "seed-2-fold-1  round 2/2" in more.err


def test_every_fold_tests_every_utterance_once(
    edge_client: Command, small_corpus: Path, tmp_path: Path, no_pictures: None
) -> None:
    assert no_pictures is None
    line = ["simulate", "--corpus", "manifest", "--data", small_corpus, *LINE.split()]
    made = edge_client(*line, "--baseline", "--every-fold", "--json", "--out", tmp_path / "folds")
    assert made.code == 0, made.err
    summary = json.loads(made.out)
    assert [sum(row) for row in summary["confusion"]] == [12] * 4
    assert summary["runs"] == 3
