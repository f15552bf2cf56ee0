"""Bad input: one clear sentence, a stable exit code, and nothing lost."""

import csv
import json
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.disk import mounted
from tests.end_to_end.conftest import Command, Outcome

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def simulate(edge_client: Command, small_corpus: Path) -> Command:
    """Run a small simulation; options that are given again win."""

    def run(*more: str | Path) -> Outcome:
        line = "simulate --corpus manifest --folds 3 --clients 3 --rounds 2 --out run"
        return edge_client(*line.split(), "--data", small_corpus, *more)

    return run


def check(outcome: Outcome, code: int, *words: str) -> None:
    """Check that a command failed as it should, with one sentence."""
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    said = " ".join(outcome.err.split())
    for word in words:
        assert word in said
    assert said.count("error: ") + said.count("─ Error ─") == 1, "ours, or that of the options"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--corpus ravdes", 2, ["ravdes", "ravdess", "emodb", "synthetic"]),
        ("--model cnn", 2, ["cnn", "dense", "conv", "lstm"]),
        ("--labels angry,sad,angry", 2, ["labels", "the label angry is given twice"]),
        ("--labels=", 2, ["labels", "there should be 2 to 32 labels, there are 0"]),
        ("--labels angry,sa$d", 2, ["labels", "the label sa$d should be 1 to 32 small letters"]),
        (f"--labels {','.join(f'l{n}' for n in range(33))}", 2, ["there are 33"]),
        ("--front-end mfcc9", 2, ["mfcc9", "front end", "paper34"]),
        ("--labels laughing,crying", 10, ["labelled with one of laughing, crying"]),
        ("--partition even", 2, ["even", "random", "single-emotion", "speaker"]),
        ("--strategy best", 2, ["best", "fedavg", "scaffold", "multi-krum"]),
        ("--preset good", 2, ["good", "paper", "best"]),
        ("--learning-rate=-1", 2, ["learning_rate", "more than 0"]),
        ("--rounds 0", 2, ["rounds", "at least 1"]),
        ("--clients 17", 2, ["16 training examples are not enough for 17 clients"]),
        ("--partition speaker --clients 3", 2, ["2 speakers", "3 clients"]),
        ("--folds 9", 2, ["speakers cannot be divided into 9 folds"]),
        ("--strategy scaffold", 2, ["scaffold", "optimizer sgd"]),
        ("--strategy krum", 2, ["krum cannot combine the updates of 3 clients", "Let more"]),
        ("--clients-per-round 4", 2, ["4 clients a round are more than all 3"]),
        ("--every-fold --protocol paper", 2, ["no folds", "Leave out --every-fold"]),
        ("--every-fold --test-corpus synthetic", 2, ["no folds", "Leave out --every-fold"]),
        ("--test-data .", 2, ["test_data", "none is given"]),
        ("--data /nowhere", 10, ["/nowhere", "expected"]),
        ("--corpus ravdess --data .", 10, ["RAVDESS", "expected"]),
        ("--initial /nowhere.safetensors", 12, ["There is no file /nowhere", "--initial"]),
        ("--config /nowhere.toml", 2, ["There is no settings file /nowhere.toml"]),
    ],
)
def test_nothing_is_written_for_what_cannot_be(
    simulate: Command, tmp_path: Path, options: str, code: int, words: list[str]
) -> None:
    check(simulate(*options.split()), code, *words)
    assert not list(tmp_path.glob("run/*"))


def test_training_that_overflows_ends_with_a_sentence(simulate: Command, tmp_path: Path) -> None:
    outcome = simulate("--normalisation", "none", "--learning-rate", "1e9", "--epochs", "9")
    check(outcome, 16, "not finite", "a smaller learning rate")
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_user_without_a_home_folder_is_told_what_to_give(
    edge_client: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "CHORUS_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def unlisted(user: int) -> NoReturn:
        raise KeyError(user)

    # As in a container that runs with any number.
    monkeypatch.setattr(pwd, "getpwuid", unlisted)
    check(edge_client("status"), 2, "no home folder", "--state")
    check(edge_client("examples", "list"), 2, "no home folder", "--state")
    simulated = edge_client(*["simulate", "--corpus", "synthetic", "--rounds", "1", "--out", "run"])
    check(simulated, 2, "no home folder", "CHORUS_CACHE")
    (tmp_path / "edge-client.toml").write_text('state = "~/device"\n')
    given = edge_client("status", "--config", "edge-client.toml")
    check(given, 2, "no home folder is known that ~ could stand for")


def test_a_missing_class_is_named(simulate: Command, small_corpus: Path) -> None:
    with small_corpus.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[1] != "happy"]
    part = small_corpus.with_name("no-happiness.csv")
    with part.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    check(simulate("--data", part), 10, "no clip labelled happy", "All 4 labels are needed")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1.wav,furious,a", ["line 2", "'furious' is none of angry", "Write other for any other"]),
        ("1.wav,,a", ["line 2", "the emotion is empty", "'edge-client corpora' shows"]),
        ("1.wav,sad", ["line 2", "another number of columns", "quotes"]),
    ],
)
def test_a_bad_row_is_named_with_a_mend(
    simulate: Command, small_corpus: Path, row: str, words: list[str]
) -> None:
    bad = small_corpus.with_name("bad-row.csv")
    bad.write_text(f"path,emotion,speaker\n{row}\n")
    check(simulate("--data", bad), 10, *words)


def test_a_corpus_of_bad_clips_only_is_refused(simulate: Command, small_corpus: Path) -> None:
    bad = small_corpus.with_name("bad.csv")
    bad.write_text("path,emotion,speaker\nnan.wav,sad,a\nempty.wav,sad,b\n")
    check(simulate("--data", bad), 10, "None of 2 clips can be used", "empty.wav is empty")


def test_ten_minutes_are_an_utterance_like_any_other(simulate: Command, small_corpus: Path) -> None:
    import numpy as np
    import soundfile

    noise = np.random.default_rng(0).standard_normal(4_000 * 600) * 0.1
    soundfile.write(small_corpus.with_name("ten-minutes.wav"), noise, 4_000)
    longer = small_corpus.with_name("longer.csv")
    longer.write_text(small_corpus.read_text() + "ten-minutes.wav,sad,bad\n")
    outcome = simulate("--data", longer, "--protocol", "paper", "--rounds", "1", "--json")
    assert outcome.code == 0, outcome.err
    assert "skipped ten-minutes.wav" not in outcome.err
    found = json.loads(outcome.out)["utterances"]
    assert found["train"] + found["validation"] + found["test"] == 49


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_finished_run_is_safe(simulate: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert simulate().code == 0
    before = files(run)
    check(simulate(), 13, "holds a run already", "--resume", "--overwrite")
    check(simulate("--seed", "1"), 13, "holds a run already")
    check(simulate("--resume", "--seed", "1"), 13, "seed is 0 there, 1 here")
    check(simulate("--resume", "--rounds", "3"), 13, "rounds is 2 there, 3 here")
    check(simulate("--seeds", "2"), 13, "holds a single run")
    check(simulate("--overwrite", "--corpus", "ravdes"), 2, "ravdes")
    check(simulate("--overwrite", "--clients", "17"), 2, "17 clients")
    again = simulate("--resume", "--json")
    assert json.loads(again.out) == json.loads(before["result.json"])
    assert files(run) == before
    assert simulate("--overwrite", "--seed", "1").code == 0
    assert json.loads((run / "result.json").read_text())["seed"] == 1


def test_other_people_s_folders_are_left_alone(simulate: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    check(simulate("--overwrite"), 13, "thesis.tex")
    (tmp_path / "file").write_text("a file")
    check(simulate("--out", "file"), 13, "is a file, not a folder")
    check(simulate("--out", "file/below"), 14, "Cannot write")
    (tmp_path / "run" / "thesis.tex").rename(tmp_path / "run" / "result.json")
    for seeds in ("1", "2"):
        check(simulate("--seeds", seeds, "--overwrite"), 13, "result.json", "another --out")
    assert files(tmp_path / "run") == {"result.json": b"years of work"}


def test_weights_that_run_away_are_told_with_a_remedy(simulate: Command) -> None:
    line = "--optimizer sgd --learning-rate 1e9 --steps 1 --bound-norm 0"
    check(simulate(*line.split()), 16, "larger than", "Lower the learning rates")


def test_a_truncated_checkpoint_is_refused(simulate: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert simulate().code == 0
    (run / "result.json").unlink()
    checkpoint = run / "checkpoint.safetensors"
    checkpoint.write_bytes((run / "model.safetensors").read_bytes()[:5000])
    before = files(run)
    check(simulate("--resume"), 13, "checkpoint.safetensors is damaged", "--overwrite")
    assert files(run) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk with room for a model, but not for a checkpoint beside it."""
    with mounted(tmp_path / "disk", "size=76k") as disk:
        yield disk


def test_a_full_disk_loses_nothing(simulate: Command, small_disk: Path, tmp_path: Path) -> None:
    out = small_disk / "run"
    check(
        simulate("--out", out),
        14,
        "The disk is full while writing",
        "what was finished before is kept",
    )
    left = {path.name for path in out.iterdir()}
    # On a slow machine there is a checkpoint after the first round, and the model finds no room.
    assert left <= {".lock", "config.toml", "checkpoint.safetensors", "rounds.csv"}
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    assert simulate("--resume", "--out", out).code == 0
    assert simulate().code == 0
    assert files(out)["model.safetensors"] == files(tmp_path / "run")["model.safetensors"]


def test_a_run_is_not_resumed_with_other_labels(simulate: Command, tmp_path: Path) -> None:
    assert simulate().code == 0
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    check(
        simulate("--labels", "sad,neutral,happy,angry", "--resume"),
        13,
        "belongs to another run: labels is angry,happy,neutral,sad there",
    )
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == model


def test_weights_of_another_task_are_refused(simulate: Command, tmp_path: Path) -> None:
    assert simulate("--labels", "sad,neutral,happy,angry").code == 0
    model = tmp_path / "run" / "model.safetensors"
    check(
        simulate("--initial", model, "--out", "other"),
        12,
        "is of another task: it recognises sad, neutral, happy, angry instead of",
        "Give --initial the model.safetensors of a conv run of this task.",
    )
    assert not (tmp_path / "other").exists()
