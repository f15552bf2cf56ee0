"""The paper's two experiments as plans, and their tables."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aggregator.strategies.settings import strategy_of
from edge_client.simulation.presets import PRESETS, preset_for
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.experiment_report import (
    costs_of_one,
    markdown_confusions,
    markdown_of_one,
    markdown_table,
    remark_on_steps,
    rows_of_one,
    rows_of_two,
    tables_of_one,
    times_of_two,
    wrapped,
    write_section,
)
from edge_client.simulation.studies.experiments import Cell, experiment_one, experiment_two
from edge_client.simulation.studies.paper import PAPER_SCORES
from edge_client.simulation.summary import METRICS
from shared.errors import RunError, SettingsError
from shared.round_settings import STRATEGY_OPTIONS
from shared.task import DEFAULT_TASK

OUT = Path("out")
MODELS = ["dense", "conv", "lstm"]
COLUMNS = ["baseline", "random", "single-emotion", "speaker"]


def collect(values: Mapping[str, Any]) -> SimulationSettings:
    return SimulationSettings.collect({"corpus": "emodb", "seed": 5}, preset=values)


def folders(cells: list[Cell]) -> list[str]:
    return [planned.folder.as_posix() for cell in cells for planned in cell.plan]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("partition", COLUMNS)
def test_presets_are_good_settings(preset: str, partition: str) -> None:
    settings = SimulationSettings.parse(preset_for(preset, partition))
    assert settings.normalisation == ("none" if preset == "paper" else "device")


@pytest.mark.parametrize(
    ("partition", "drawn"),
    [("random", 800), ("clients", 800), ("single-emotion", 900), ("speaker", None)],
)
def test_the_paper_s_clients_draw_samples(partition: str, drawn: int | None) -> None:
    settings = SimulationSettings.parse(preset_for("paper", partition))
    assert settings.examples_per_client == drawn


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_s_options_of_its_strategy_leave_with_it(preset: str) -> None:
    values = preset_for(preset, "random")
    other = SimulationSettings.collect({"strategy": "fedavgm"}, preset=values)
    assert {getattr(other, name) for name in STRATEGY_OPTIONS} == {None}
    assert other.learning_rate == values["learning_rate"]
    strategy_of(other)
    own = SimulationSettings.collect(
        {"strategy": "fedavgm", "server_learning_rate": 0.5}, preset=values
    )
    assert own.server_learning_rate == 0.5
    same = SimulationSettings.collect({"strategy": "fedadam", "tau": 0.5}, preset=values)
    assert (same.tau, same.bias_correction) == (0.5, True)


def test_epochs_take_the_place_of_a_preset_s_steps() -> None:
    values = preset_for("best", "random")
    assert values["steps"] == 1
    settings = SimulationSettings.collect({"epochs": 2}, preset=values)
    assert (settings.epochs, settings.steps) == (2, None)


@pytest.mark.parametrize(
    ("preset", "partition", "own", "other"),
    [
        ("best", "random", "sgd", "adam"),
        ("best", "clients", "adam", "sgd"),
        ("best", "baseline", "adam", "sgd"),
        ("paper", "random", "adam", "sgd"),
    ],
)
def test_a_preset_s_learning_rate_leaves_with_its_optimizer(
    preset: str, partition: str, own: str, other: str
) -> None:
    values = preset_for(preset, partition)

    def rate(**given: Any) -> float:
        return SimulationSettings.collect(given, preset=values).learning_rate

    assert rate() == rate(optimizer=own) == values["learning_rate"]
    assert rate(optimizer=other) == SimulationSettings.model_fields["learning_rate"].default
    assert rate(optimizer=other, learning_rate=0.5) == 0.5


def test_the_paper_s_preset_is_its_protocol() -> None:
    settings = SimulationSettings.parse(preset_for("paper", "random"))
    assert (settings.protocol, settings.rounds, settings.batch_size) == ("paper", 20, 20)
    assert (settings.strategy, settings.server_learning_rate) == ("fedadam", 1e-2)
    assert (settings.optimizer, settings.learning_rate, settings.epochs) == ("adam", 1e-4, None)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(SettingsError, match="There is no preset good; there are: paper, best"):
        preset_for("good", "random")


def test_experiment_one_has_a_cell_for_each_model_and_partition() -> None:
    cells = experiment_one(collect, "paper", OUT, MODELS, COLUMNS, seeds=3)
    assert [(cell.model, cell.column) for cell in cells] == [
        (model, column) for model in MODELS for column in COLUMNS
    ]
    assert len(set(folders(cells))) == 12 * 3
    for cell in cells:
        assert [planned.settings.seed for planned in cell.plan] == [5, 6, 7]
        for planned in cell.plan:
            settings = planned.settings
            assert settings.corpus == "emodb", "the command line counts"
            assert settings.model == cell.model
            assert settings.baseline == (cell.column == "baseline")
            if not settings.baseline:
                assert settings.partition == cell.column
            assert planned.title.startswith(f"{cell.model} {cell.column}")


@pytest.mark.parametrize("preset", PRESETS)
def test_skewed_partitions_are_columns_of_experiment_one(preset: str) -> None:
    cells = experiment_one(collect, preset, OUT, ["conv"], ["dirichlet", "quantity"], seeds=1)
    assert [cell.plan[0].settings.partition for cell in cells] == ["dirichlet", "quantity"]


def test_the_speakers_protocol_tests_every_fold() -> None:
    (cell,) = experiment_one(collect, "best", OUT, ["conv"], ["random"], seeds=2)
    folds = [(planned.settings.seed, planned.settings.fold) for planned in cell.plan]
    assert folds == [(seed, fold) for seed in (5, 6) for fold in range(1, 7)]
    assert folders([cell])[0] == "out/conv-random/seed-5-fold-1"


def test_another_corpus_is_tested_once() -> None:
    def across(values: Mapping[str, Any]) -> SimulationSettings:
        return SimulationSettings.collect({"test_corpus": "emodb"}, preset=values)

    (cell,) = experiment_one(across, "best", OUT, ["conv"], ["random"], seeds=1)
    assert folders([cell]) == ["out/conv-random/seed-0"]


def test_experiment_two_has_one_to_eight_clients() -> None:
    cells = experiment_two(collect, "paper", OUT, ["conv", "dense"], seeds=1)
    assert [(cell.model, cell.column) for cell in cells] == [
        (model, str(clients)) for model in ("conv", "dense") for clients in range(1, 9)
    ]
    for cell in cells:
        (planned,) = cell.plan
        assert planned.settings.clients == int(cell.column)
        assert planned.settings.rounds == 10
        assert planned.settings.partition == "random"


@pytest.mark.parametrize(
    ("given", "column", "name"),
    [
        ({"model": "lstm"}, "random", "model"),
        ({"partition": "dirichlet"}, "random", "partition"),
        ({"baseline": True}, "random", "baseline"),
        ({"baseline": False}, "baseline", "baseline"),
    ],
)
def test_a_cell_is_what_it_is_called(given: dict[str, Any], column: str, name: str) -> None:
    def others(values: Mapping[str, Any]) -> SimulationSettings:
        return SimulationSettings.collect(given, preset=values)

    with pytest.raises(SettingsError, match=f"The experiment needs {name} = ") as caught:
        experiment_one(others, "best", OUT, ["conv"], [column], 1)
    assert f"--{name}" in caught.value.remedy
    assert f"CHORUS_EDGE_{name.upper()}" in caught.value.remedy


@pytest.mark.parametrize(
    "given", [{"clients": 2}, {"partition": "quantity"}, {"baseline": True}, {"model": "lstm"}]
)
def test_a_number_of_clients_is_what_it_is_called(given: dict[str, Any]) -> None:
    def others(values: Mapping[str, Any]) -> SimulationSettings:
        return SimulationSettings.collect(given, preset=values)

    with pytest.raises(SettingsError, match="The experiment needs"):
        experiment_two(others, "paper", OUT, ["conv"], 1)


def test_the_environment_changes_no_cell_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_EDGE_MODEL", "conv")
    experiment_one(collect, "best", OUT, ["conv"], ["random"], 1)
    with pytest.raises(SettingsError, match="needs model = dense here, but the setting says conv"):
        experiment_one(collect, "best", OUT, ["dense"], ["random"], 1)


@pytest.mark.parametrize(
    ("models", "columns", "sentence"),
    [
        (["conv", "cnn"], ["random"], "There is no model cnn; there are: dense, conv, lstm"),
        (["conv"], ["shuffled"], "There is no partition shuffled; there are: baseline, random"),
    ],
)
def test_unknown_rows_and_columns_are_refused(
    models: list[str], columns: list[str], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        experiment_one(collect, "paper", OUT, models, columns, 1)


def test_the_paper_s_results_are_all_there() -> None:
    columns = ("baseline", "random", "single-emotion")
    assert set(PAPER_SCORES) == {(model, column) for model in MODELS for column in columns}
    scores = PAPER_SCORES["lstm", "random"]
    assert (scores.accuracy, scores.recall, scores.precision) == (0.43, 0.40, 0.43)
    assert (scores.macro_f1, scores.seconds) == (0.35, 5407)


def summary(model: str, column: str, score: float, std: float | None = None) -> dict[str, Any]:
    return {
        "model": model,
        "column": column,
        "mean": dict.fromkeys(METRICS, score),
        "std": dict.fromkeys(METRICS, std),
        "labels": list(DEFAULT_TASK.names),
        "confusion": [[8, 2, 0, 0], [0, 0, 0, 0], [0, 0, 5, 0], [1, 1, 1, 1]],
        "bytes_up": 0 if column == "baseline" else 8_000_000,
        "clients": 1 if column == "baseline" else 4,
        "rounds": 20,
        "seconds": 600,
        "runs": 2,
    }


def test_experiment_one_s_table_has_the_paper_beside_ours() -> None:
    rows = rows_of_one(
        [
            summary("conv", "random", 0.5, 0.01),
            summary("conv", "baseline", 0.625),
            summary("conv", "speaker", 0.5),
        ]
    )
    assert {len(row) for row in rows} == {10}
    assert rows[1] == [
        "conv",
        "random",
        *["0.500 ± 0.010"] * 4,
        "20",
        "2.0 MB",
        "5 min",
        "0.41 / 0.38 / 0.41 / 0.37 / 5 min",
    ]
    assert rows[2][2] == "0.625"
    assert rows[2][7] == "-", "a baseline sends nothing"
    assert rows[3][9] == "-", "the paper has no speaker partition"


def test_the_terminal_shows_a_table_a_partition_and_the_confusions() -> None:
    tables = tables_of_one(
        [summary(model, column, 0.5) for model in ("conv", "dense") for column in COLUMNS]
    )
    assert [table.title for table in tables[:4]] == COLUMNS
    assert len(tables) == 4 + 8
    console = Console(width=180, record=True, file=io.StringIO())
    console.print(tables[1], tables[5])
    text = console.export_text()
    assert "0.41 / 0.38 / 0.41 / 0.37 / 5 min" in text, "the paper's numbers"
    assert "0.51 / 0.49 / 0.51 / 0.49 / 10 min" in text
    assert "conv, random: confusion" in text
    assert "8 (80%)" in text


def test_no_table_of_experiment_one_is_wider_than_six_columns() -> None:
    summaries = [summary(model, column, 0.5) for model in ("conv", "dense") for column in COLUMNS]
    scores, costs = (
        [line.strip("| ").split(" | ") for line in table.splitlines()]
        for table in markdown_of_one(summaries).split("\n\n")
    )
    assert scores[0] == ["model", "partition", "accuracy", "UAR", "precision", "macro-F1"]
    assert costs[0][:5] == costs_of_one(summaries)[0]
    rows = rows_of_one(summaries)[1:]
    assert [a + b[2:] for a, b in zip(scores[2:], costs[2:], strict=True)] == rows
    assert {len(table.columns) for table in tables_of_one(summaries)} <= {5, 6}


def test_experiment_two_s_table_has_a_row_a_model() -> None:
    rows = rows_of_two(
        [summary(model, str(k), k / 10) for model in ("conv", "dense") for k in (1, 2)]
    )
    assert rows == [
        ["model", "k = 1", "k = 2"],
        ["conv", "0.100", "0.200"],
        ["dense", "0.100", "0.200"],
    ]


def test_experiment_two_says_how_long_a_run_took() -> None:
    cells = [summary("conv", str(k), 0.5) | {"seconds": 20 * k} for k in (1, 2)]
    assert times_of_two(cells) == [["time of a run", "k = 1", "k = 2"], ["conv", "10 s", "20 s"]]


def test_experiment_two_says_where_more_clients_train_less() -> None:
    cells = [summary("conv", str(k), 0.5) | {"steps": 80 // k} for k in (1, 4, 8)]
    assert "80 steps with k = 1, and 10 with k = 8" in remark_on_steps(cells)
    assert remark_on_steps([cell | {"steps": 30} for cell in cells]) == ""
    assert remark_on_steps([summary("conv", "1", 0.5)]) == ""


def test_markdown() -> None:
    assert markdown_table([["a", "b"], ["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_confusions_are_in_percent_of_their_rows() -> None:
    lines = markdown_confusions([summary("conv", "random", 0.5)]).splitlines()
    assert lines[2] == "| conv | random | angry | 80% | 20% | 0% | 0% |"
    assert lines[3] == "| conv | random | happy | 0% | 0% | 0% | 0% |"
    assert lines[5] == "| conv | random | sad | 25% | 25% | 25% | 25% |"


def test_prose_is_wrapped_and_tables_are_not() -> None:
    table = markdown_table([["a " * 60, "b"], ["1", "2"]])
    command = "`" + " ".join(f"--option-{place}-long a-value" for place in range(12)) + "`"
    word = "x" * 120
    text = wrapped(f"{table}\n{command}, 2026-11-29.\n\nShort:\n\n{table}\n{word} end\n")
    assert text.count(table) == 2
    prose = text.replace(table, "")
    assert all(len(line) <= 100 for line in prose.splitlines() if line != word)
    assert " ".join(prose.split()) == f"{command}, 2026-11-29. Short: {word} end"
    assert "\n\nShort:\n\n" in text, "paragraphs stay apart"
    assert wrapped(text) == text


def test_a_section_is_put_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    path.write_text("before\n<!-- begin one -->\nold\n<!-- end one -->\nafter\n")
    for text in ("new\n", "newer\n"):
        write_section(path, "one", text)
        assert path.read_text() == (
            f"before\n<!-- begin one -->\n\n{text}\n<!-- end one -->\nafter\n"
        )


def test_a_document_is_in_utf_8_whatever_the_locale_says(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    path.write_bytes("vorläufig\n<!-- begin one -->\n<!-- end one -->\n".encode())
    module = "edge_client.simulation.studies.experiment_report"
    script = f"from {module} import *; write_section(Path({str(path)!r}), 'one', chr(177))"
    another = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, **another})
    assert path.read_text("utf-8") == "vorläufig\n<!-- begin one -->\n\n±\n<!-- end one -->\n"


@pytest.mark.parametrize("text", [None, "", "<!-- begin one -->\n", "<!-- end one -->"])
def test_a_document_without_marks_is_left_alone(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "results.md"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError, match="has no place for this table") as caught:
        write_section(path, "one", "new")
    assert "<!-- begin one --> and <!-- end one -->" in caught.value.remedy
    assert (path.read_text() if path.exists() else None) == text


def test_what_is_no_text_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.png"
    path.write_bytes(b"\x89PNG\xff\xfe")
    for place in (path, tmp_path):
        with pytest.raises(RunError, match="is not a text file that can be read"):
            write_section(place, "one", "new")
    assert path.read_bytes() == b"\x89PNG\xff\xfe"
