"""``edge-client experiment``: the paper's two experiments, in small."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Command

pytestmark = pytest.mark.usefixtures("no_pictures")


def arguments(name: str, corpus: Path, out: Path, *more: str | Path) -> list[str | Path]:
    line = f"experiment {name} --preset paper --models conv --engine tflite --rounds 2"
    line += " --corpus manifest"
    return [*line.split(), "--data", corpus, "--out", out, *more]


def test_one(edge_client: Command, small_corpus: Path, tmp_path: Path) -> None:
    out, document = tmp_path / "one", tmp_path / "results.md"
    document.write_text("# Results\n<!-- begin one -->\n<!-- end one -->\nThe end.\n")
    line = arguments("one", small_corpus, out, "--clients", "4", "--seeds", "2")
    first = edge_client(*line, "--partitions", "baseline,random", "--write", document)
    assert first.code == 0, first.err
    assert "4 runs" in first.err
    assert "left" in first.err
    shown = first.out
    for words in ("±", "0.41 / 0.38 / 0.41 / 0.37 / 5 min", "conv, random: confusion"):
        assert words in shown
    titles = [line.strip() for line in shown.splitlines() if line.strip() in ("baseline", "random")]
    assert titles == ["baseline", "random"], "a table each"
    for column in ("baseline", "random"):
        for seed in (0, 1):
            result = json.loads(
                (out / f"conv-{column}" / f"seed-{seed}" / "result.json").read_text()
            )
            assert result["settings"]["strategy"] == "fedadam"
            assert result["settings"]["normalisation"] == "none"
            assert result["settings"]["baseline"] == (column == "baseline")
    text = document.read_text()
    assert text.startswith("# Results\n<!-- begin one -->\n\n| model | partition |")
    assert "| conv | random | angry | " in text, "confusion matrices"
    assert text.endswith("<!-- end one -->\nThe end.\n")
    assert (out / "table.md").read_text() in text
    prose = [line for line in text.splitlines() if not line.startswith("|")]
    assert any(line.startswith("`edge-client experiment one") for line in prose)
    # A path cannot be divided.
    assert all(len(line) <= 100 or " " not in line for line in prose)

    second = edge_client(*line, "--partitions", "baseline,random,single-emotion", "--json")
    assert second.code == 0, second.err
    cells = json.loads(second.out)["cells"]
    assert [cell["column"] for cell in cells] == ["baseline", "random", "single-emotion"]
    assert "conv random seed" not in second.err, "finished runs are not made again"
    assert "conv single-emotion seed-1  round 2/2" in second.err
    written = json.loads((out / "result.json").read_text())
    assert written == {"summary": "experiment one", "cells": cells}


def test_two(edge_client: Command, small_corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "two"
    done = edge_client(*arguments("two", small_corpus, out))
    assert done.code == 0, done.err
    assert "k = 1" in done.out
    assert "k = 8" in done.out
    assert (out / "macro-f1.png").read_bytes().startswith(b"\x89PNG")
    for clients in range(1, 9):
        result = json.loads((out / f"conv-{clients}" / "seed-0" / "result.json").read_text())
        assert result["clients"] == clients


def test_a_contradiction_is_told_at_once(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    for name, option in (("one", ["--model", "lstm"]), ("two", ["--clients", "2"])):
        refused = edge_client(*arguments(name, small_corpus, tmp_path / name, *option))
        assert refused.code == 2
        assert f"The experiment needs {option[0][2:]} = " in refused.err
        assert "Leave it out" in refused.err
        assert not (tmp_path / name).exists()


def test_other_people_s_tables_are_left_alone(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "one", tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")
    unreadable = edge_client(*arguments("one", small_corpus, out, "--write", picture))
    assert unreadable.code == 13
    assert "picture.png is not a text file that can be read" in unreadable.err
    out.mkdir()
    (out / "table.md").write_text("precious")
    refused = edge_client(*arguments("one", small_corpus, out))
    assert refused.code == 13
    assert "table.md is of something else" in refused.err
    assert [path.name for path in out.iterdir()] == ["table.md"]
    assert (out / "table.md").read_text() == "precious"


def test_what_does_not_exist_is_told_at_once(
    edge_client: Command, small_corpus: Path, tmp_path: Path
) -> None:
    line = arguments("one", small_corpus, tmp_path / "one")
    unknown = edge_client(*line, "--partitions", "shuffled")
    assert unknown.code == 2
    assert "There is no partition shuffled; there are: baseline, random" in unknown.err
    assert "Traceback" not in unknown.err
    assert not (tmp_path / "one").exists()


def test_baselines(edge_client: Command, small_corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "baselines"
    line = ["experiment", "baselines", "--corpus", "manifest", "--data", small_corpus]
    line += ["--out", out, "--protocol", "paper"]
    done = edge_client(*line)
    assert done.code == 0, done.err
    assert "svm, baseline: confusion" in done.out
    assert "logistic" in done.out
    again = edge_client(*line, "--json")
    assert again.code == 0, again.err
    assert "UAR" not in again.err, "finished folds are not made again"
    assert [cell["model"] for cell in json.loads(again.out)["cells"]] == ["svm", "logistic"]
    wrong = edge_client(*line, "--models", "forest")
    assert wrong.code == 2
    assert "There is no baseline forest" in wrong.err


def test_noise(edge_client: Command, small_corpus: Path, tmp_path: Path) -> None:
    line = ["experiment", "noise", "--conditions", "white:-60dBFS,room", "--out"]
    own = ["--preset", "paper", "--rounds", "1", "--corpus", "manifest", "--data", small_corpus]
    done = edge_client(*line, tmp_path / "noise", *own)
    assert done.code == 0, done.err
    written = json.loads((tmp_path / "noise" / "result.json").read_text())
    assert list(written["conditions"]) == ["clean", "white:-60dBFS", "room"]
    assert (tmp_path / "noise" / "noise.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "noise" / "table.md").read_text()
    assert "| white:-60dBFS | " in table
    assert "UAR, one known" in table

    (run,) = (tmp_path / "noise" / "models").glob("*/seed-0")
    again = edge_client(*line, tmp_path / "b", "--run", run, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["conditions"] == written["conditions"]

    refused = edge_client("experiment", "noise", "--conditions", "rain", "--out", tmp_path / "c")
    assert refused.code == 2
    assert "There is no condition rain; there are: clean, white:20dB" in refused.err


def test_poisoning(edge_client: Command, small_corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "poisoning"
    line = ["experiment", "poisoning", "--corpus", "manifest", "--data", small_corpus, "--out", out]
    line += ["--rounds", "1", "--model", "tdnn", "--protocol", "paper"]
    done = edge_client(*line, "--strategies", "fedavg-unbounded,median")
    assert done.code == 0, done.err
    assert "3 of 10, label-flip" in done.out
    assert (out / "poisoning.png").read_bytes().startswith(b"\x89PNG")
    again = edge_client(*line, "--strategies", "median", "--json")
    assert again.code == 0, again.err
    assert "round 1/1" not in again.err, "finished runs are not made again"
    assert len(json.loads(again.out)["cells"]) == 8


def test_attacks(edge_client: Command, small_corpus: Path, tmp_path: Path) -> None:
    out, document = tmp_path / "attacks", tmp_path / "privacy.md"
    document.write_text("# Privacy\n<!-- begin attacks -->\n<!-- end attacks -->\n")
    line = ["experiment", "attacks", "--corpus", "manifest", "--data", small_corpus, "--out", out]
    line += ["--model", "tdnn", "--held", "2", "--kinds", "inferences", "--write", document]
    done = edge_client(*line)
    assert done.code == 0, done.err
    assert "secure sum of 8" in done.out
    assert "secure sum of 32" not in done.out, "there are not so many updates"
    assert "| guessing | " in document.read_text()
    assert (out / "attacks.png").read_bytes().startswith(b"\x89PNG")
    again = edge_client(*line, "--json")
    assert again.code == 0, again.err
    gained = json.loads(again.out)["gained"]["inferences"]
    assert gained["guessing"]["member"] == 0.5
    refused = edge_client(*line, "--secure")
    assert refused.code == 2
    assert "The experiment needs secure = false here" in refused.err
