"""Other labels, from clips of one's own to scores, tables and pictures."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from shared.corpora import load_corpus
from shared.task import PAPER34, Task, labels_of
from shared.weights import load_weights
from tests.end_to_end.conftest import Command

EIGHT = ("angry", "happy", "neutral", "sad", "fearful", "disgusted", "surprised", "calm")
SOUNDS = ("laughing", "crying", "shouting")
SPEAKERS, EACH = 3, 2

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write sounds with some labels into a manifest."""

    def written(*names: str) -> Path:
        task = Task(labels_of(names), PAPER34)
        clips = load_corpus(
            "synthetic", None, task, speakers=SPEAKERS, clips_per_speaker=EACH * len(names)
        ).clips
        with (tmp_path / "clips.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "label", "speaker"])
            for number, clip in enumerate(clips):
                soundfile.write(tmp_path / f"{number}.wav", clip.read(), 16_000)
                rows.writerow([f"{number}.wav", clip.label, clip.speaker])
        return tmp_path / "clips.csv"

    return written


LINE = "--folds 3 --rounds 2 --learning-rate 0.01 --batch-size 8 --out run"


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (EIGHT, "--partition single-emotion --clients 8"),
        (SOUNDS, "--partition dirichlet --clients 2"),
    ],
)
def test_a_simulation_of_any_labels_is_scored_shown_and_kept(
    edge_client: Command, write: Write, tmp_path: Path, labels: tuple[str, ...], options: str
) -> None:
    corpus = ["--corpus", "manifest", "--data", write(*labels), "--labels", ",".join(labels)]
    made = edge_client("simulate", *corpus, *LINE.split(), *options.split())
    assert made.code == 0, made.err
    assert labels[-1] in made.out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    task = Task.from_dict(result["task"])
    assert task.names == tuple(result["classes"]) == labels
    assert [sum(row) for row in result["confusion"]] == [EACH] * len(labels)
    assert load_weights(tmp_path / "run" / "model.safetensors")[1].task == task
    for name in ("confusion", "history", "partition"):
        assert (tmp_path / "run" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    again = edge_client("simulate", "--config", tmp_path / "run" / "config.toml", "--out", "other")
    assert again.code == 0, again.err
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "other")]
    assert models[0] == models[1]


def test_experiments_compare_with_any_labels(
    edge_client: Command, write: Write, tmp_path: Path, no_pictures: None
) -> None:
    assert no_pictures is None
    line = "--models conv --partitions single-emotion --seeds 1 --preset best --rounds 1 --folds 3 "
    line += "--clients 3"
    corpus = ["--corpus", "manifest", "--data", write(*SOUNDS), "--labels", ",".join(SOUNDS)]
    made = edge_client(
        "experiment", "one", *corpus, *line.split(), "--clients", "3", "--out", "one"
    )
    assert made.code == 0, made.err
    table = (tmp_path / "one" / "table.md").read_text()
    assert "| model | partition | true label | laughing | crying | shouting |" in table
