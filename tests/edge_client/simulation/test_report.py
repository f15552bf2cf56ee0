"""What commands print: tables for people, JSON for programs."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edge_client.simulation.report import (
    confusion_table,
    megabytes,
    print_result,
    print_summary,
    spread,
    table_of,
)
from edge_client.simulation.summary import METRICS
from shared.model_notes.calibration import Reliability
from shared.task import DEFAULT_TASK

CONFUSION = [[3, 1, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0], [0, 2, 0, 2]]
RESULT: dict[str, Any] = {
    **dict.fromkeys(METRICS, 0.61849),
    "classes": dict.fromkeys(DEFAULT_TASK.names),
    "confusion": CONFUSION,
    "utterances": {"test": 13},
    "chosen_round": 7,
    "seconds": 90.0,
    "seconds_per_round": 1.5,
    "bytes_up_per_round": 29_312_064,
    "settings": {"corpus": "ravdess"},
}
SUMMARY: dict[str, Any] = {
    "mean": dict.fromkeys(METRICS, 0.6),
    "std": dict.fromkeys(METRICS, 0.0125),
    "labels": list(DEFAULT_TASK.names),
    "confusion": CONFUSION,
    "seeds": [0, 1, 2],
    "runs": 3,
}
OUT = Path("runs/[bold]mine")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_a_result_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(RESULT, OUT, as_json=False)
    out, err = capsys.readouterr()
    assert err == ""
    for words in ("UAR", "macro f1", "0.618", "3 (75%)", "0 (0%)", "13 test utterances"):
        assert words in out
    assert "the model of round 7; 90 s of training, 1.50 s a round, 29.3 MB up a round." in out
    assert f"{OUT}/confusion.png" in out, "brackets in names of files are not markup"
    assert "not speech" not in out


def test_a_row_of_eight_labels_fits_on_a_line() -> None:
    names = (*DEFAULT_TASK.names, "fearful", "disgusted", "surprised", "calm")
    matrix = [[192 if row == column else 7 for column in range(8)] for row in range(8)]
    shown = io.StringIO()
    Console(file=shown, width=80).print(confusion_table(matrix, names))
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    for row, name in enumerate(names):
        (line,) = (line for line in lines if line.startswith(f"│ {name}"))
        assert [int(cell) for cell in line.split("│")[2:-1]] == matrix[row]
    heads = next(line for line in lines if "angry" in line).split("┃")[2:-1]
    for head, name in zip(heads, names, strict=True):
        assert name.startswith(head.strip().rstrip("…"))


@pytest.mark.parametrize("corpus", ["synthetic", "synthetic-multimodal"])
def test_sounds_that_are_no_speech_are_called_so(
    corpus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_result(RESULT | {"settings": {"corpus": corpus}}, OUT, as_json=False)
    assert "not speech" in capsys.readouterr().out


def test_a_summary_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(SUMMARY, OUT, as_json=False)
    out = capsys.readouterr().out
    assert "mean of 3 seeds" in out
    assert "0.600 ± 0.013" in out or "0.600 ± 0.012" in out


def test_a_result_says_how_far_its_answers_can_be_relied_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reliability = Reliability.of([[0.4, 0.3, 0.3], [0.3, 0.45, 0.25], [0.9, 0.1, 0]], [1, 1, 0])
    told = {"calibration_error": reliability.error, "reliability": reliability.to_dict()}
    known = {"all": {"uar": 0.5, **told}, "one": {"uar": 0.25, **told}}
    print_result(RESULT | told | {"known": known}, OUT, as_json=False)
    out = capsys.readouterr().out
    assert "2 answers had a probability below 50%; 1 was wrong." in out
    (line,) = (line for line in out.splitlines() if "calibration error" in line)
    assert line.count(f"{reliability.error:.3f}") == 2
    print_summary(SUMMARY | told, OUT, as_json=False)
    assert "2 answers had a probability below 50%; 1 was wrong." in capsys.readouterr().out


def test_programs_get_json_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(RESULT, OUT, as_json=True)
    assert json.loads(capsys.readouterr().out) == RESULT
    print_summary(SUMMARY, OUT, as_json=True)
    assert json.loads(capsys.readouterr().out) == SUMMARY


def test_a_table_has_its_header() -> None:
    table = table_of([["a", "b"], ["1", "2"]], "both")
    assert (table.title, table.row_count) == ("both", 1)
    assert [column.header for column in table.columns] == ["a", "b"]


def test_numbers() -> None:
    assert spread(0.5, None) == "0.500"
    assert spread(0.5, 0.1) == "0.500 ± 0.100"
    assert megabytes(1_832_004 * 4) == "7.3 MB"
