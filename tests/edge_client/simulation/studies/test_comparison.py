"""Runs side by side: which belong together, and how sure a difference is."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.simulation.run_folder import RoundRow, RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.comparison import Group, compare, groups_of, paired
from edge_client.simulation.studies.comparison_report import (
    PICTURES,
    csv_of,
    latex_table,
    rows_of,
    write_comparison,
)
from edge_client.simulation.summary import METRICS, SCHEMA, pooled_scores, summarise
from shared.errors import RunError
from shared.task import DEFAULT_TASK

Result = dict[str, Any]


def result(right: int, seed: int = 0, fold: int = 1, **settings: Any) -> Result:
    """Give what a run wrote that recognised so many of ten utterances of each label."""
    same = np.eye(4, dtype=int)
    matrix = right * same + (10 - right) * np.roll(same, 1, axis=1)
    whole = SimulationSettings.parse({"seed": seed, "fold": fold, "rounds": 3, **settings})
    return {
        "seed": seed,
        "classes": dict.fromkeys(DEFAULT_TASK.names),
        "confusion": matrix.tolist(),
        "seconds": 10.0,
        "clients": 4,
        "bytes_up_per_round": 100,
        "bytes_down_per_round": 200,
        "utterances": {"train": 400},
        "settings": whole.model_dump(mode="json"),
    }


def write(folder: Path, run: Result) -> Path:
    files = RunFolder(folder)
    settings = SimulationSettings.parse(run["settings"])
    files.claim(settings, resume=False, overwrite=False)
    files.write_rounds([RoundRow(n, 4, 1 / n, None, 0.2 * n, None, 1.0, 1, 1) for n in (1, 2, 3)])
    files.write_result(run)
    return folder


def test_runs_that_differ_in_seed_and_fold_only_are_one_group(tmp_path: Path) -> None:
    for seed in (0, 1):
        for fold in (1, 2):
            write(tmp_path / "a" / f"{seed}-{fold}", result(5, seed, fold, threads=seed + 1))
    write(tmp_path / "b", result(6, strategy="median", clients=8))
    groups, unfinished = groups_of([tmp_path / "b", tmp_path / "a"])
    assert [(group.name, len(group.results)) for group in groups] == [("b", 1), ("a", 4)]
    assert unfinished == []


def test_groups_of_one_folder_are_named_by_what_differs(tmp_path: Path) -> None:
    write(tmp_path / "1", result(5, strategy="fedavg"))
    write(tmp_path / "2", result(5, strategy="median", clients=3))
    groups, _ = groups_of([tmp_path])
    assert [group.name for group in groups] == ["strategy=fedavg", "clients=3,strategy=median"]


def test_a_group_without_any_of_what_differs_has_a_name_too(tmp_path: Path) -> None:
    write(tmp_path / "1", result(5))
    write(tmp_path / "2", result(5, clients=3))
    write(tmp_path / "3", result(5, clients=3, dp_epsilon=8))
    groups, _ = groups_of([tmp_path])
    names = ["clients=none,dp_epsilon=none", "clients=3", "clients=3,dp_epsilon=8.0"]
    assert [group.name for group in groups] == names


def test_a_run_of_the_version_before_is_read(tmp_path: Path) -> None:
    old = result(5, seed=1)
    for gone in ("threads", "augment_conditions", "known"):
        del old["settings"][gone]
    write(tmp_path / "old", old)
    write(tmp_path / "new", {**summarise([result(6)]), **result(6)})
    (group,), _ = groups_of([tmp_path])
    (cell,) = compare([group])
    assert cell["schema"] == SCHEMA
    assert cell["seeds"] == [0, 1]
    assert cell["mean"]["accuracy"] == pytest.approx(0.55)


def test_a_single_run_is_a_summary_of_one(tmp_path: Path) -> None:
    one = result(6)
    summary = summarise([one])
    assert summary["steps"] == 3 * 400 // 4 // 20, "three rounds of an epoch"
    assert (summary["bytes_up"], summary["bytes_down"]) == (300, 600)
    assert summary["each_run"][0]["uar"] == summary["mean"]["uar"] == 0.6
    group = Group("a", (tmp_path,), (one,))
    assert compare([group]) == [{"name": "a", **summary}]


def test_the_interval_is_student_s_for_pairs_of_seeds() -> None:
    from scipy.stats import ttest_rel

    first = [result(right, seed) for seed, right in enumerate((5, 6, 4, 7))]
    other = [result(right, seed) for seed, right in enumerate((6, 8, 5, 7))]
    found = paired(first, other[::-1], "uar")
    assert found is not None
    ours = [pooled_scores([run])["uar"] for run in first]
    theirs = [pooled_scores([run])["uar"] for run in other]
    interval = ttest_rel(theirs, ours).confidence_interval(0.95)
    assert found["mean"] == pytest.approx(0.1)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert (found["pairs"], found["of"]) == (4, "seeds")


def test_of_one_seed_the_folds_are_pairs() -> None:
    first = [result(right, fold=fold) for fold, right in ((1, 5), (2, 6), (3, 4))]
    other = [result(right, fold=fold) for fold, right in ((3, 6), (1, 7))]
    found = paired(first, other, "accuracy")
    assert found is not None
    assert (found["mean"], found["pairs"], found["of"]) == (pytest.approx(0.2), 2, "folds")


def test_folds_of_a_seed_are_counted_together() -> None:
    first = [result(5, seed, fold) for seed in (0, 1) for fold in (1, 2)]
    other = [result(5 + fold, seed, fold) for seed in (0, 1) for fold in (1, 2)]
    found = paired(first, other, "uar")
    assert found is not None
    assert found["of"] == "seeds"
    assert found["low"] == found["mean"] == found["high"] == pytest.approx(0.15)


@pytest.mark.parametrize(
    "other",
    [
        [result(5, seed=7), result(5, seed=8)],
        [result(5, seed=0)],
        [{**result(5, seed), "confusion": np.eye(4, dtype=int).tolist()} for seed in (0, 1)],
    ],
)
def test_what_is_no_pair_has_no_difference(other: list[Result]) -> None:
    assert paired([result(5, 0), result(6, 1)], other, "uar") is None


def test_the_same_run_in_two_folders_does_not_count_twice(tmp_path: Path) -> None:
    places = [write(tmp_path / name, result(5)) for name in ("a", "b")]
    with pytest.raises(RunError, match=r"a and .*b hold the same run"):
        groups_of(places)


def test_what_holds_no_finished_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no folder"):
        groups_of([tmp_path / "nowhere"])
    with pytest.raises(RunError, match="holds no finished run"):
        groups_of([tmp_path])
    begun = RunFolder(tmp_path / "begun")
    begun.claim(SimulationSettings(), resume=False, overwrite=False)
    done = write(tmp_path / "done", result(5))
    groups, unfinished = groups_of([tmp_path])
    assert [group.folders for group in groups] == [(done,)]
    assert unfinished == [begun.path]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"schema": SCHEMA + 1}, "was written by a newer version of chorus-edge"),
        ({"schema": "x"}, "was written by a newer version"),
        ({"settings": None}, "is damaged"),
        ({"confusion": [[1, 2], [3]]}, "is damaged"),
        ({"classes": None}, "is damaged"),
        ({"seed": []}, "is damaged"),
        ({"settings": [["fold", 1]]}, "is damaged"),
        ({"settings": {"fold": []}}, "is damaged"),
    ],
)
def test_a_result_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, change: Result, sentence: str
) -> None:
    folder = write(tmp_path / "a", result(5))
    RunFolder(folder).result.write_text(json.dumps(result(5) | change))
    with pytest.raises(RunError, match=sentence):
        compare(groups_of([folder])[0])


@pytest.fixture
def groups(tmp_path: Path) -> list[Group]:
    for seed in (0, 1):
        write(tmp_path / f"a{seed}", result(5 + seed, seed))
        write(tmp_path / f"b{seed}", result(7 + seed, seed, strategy="median"))
    return groups_of([tmp_path])[0]


def test_tables_for_people_papers_and_programs(groups: list[Group]) -> None:
    cells = compare(groups)
    rows = rows_of(cells, "macro_f1")
    assert rows[0][6] == "macro-F1 against strategy=fedavg (95 %)"
    assert rows[1][0:4] == ["strategy=fedavg", "2", "2", "0.550 ± 0.071"]
    assert rows[1][6] == "-"
    assert rows[2][6].endswith("; 2 seeds)")
    assert rows[2][7:] == ["10 s", "0.0 MB", "0.0 MB"]
    latex = latex_table([["a & b", "100 %"], ["x_y", "0.5 ± 0.1"]])
    assert r"a \& b & 100 \% \\" in latex
    assert r"x\_y & 0.5 $\pm$ 0.1 \\" in latex
    first, second = csv.DictReader(io.StringIO(csv_of(cells)))
    assert first["uar_difference_mean"] == ""
    assert float(second["uar_difference_mean"]) == pytest.approx(0.2)
    assert float(second["bytes_down"]) == 600
    assert all(f"{metric}_mean" in second for metric in METRICS)


def test_pictures_are_drawn_as_each_kind(groups: list[Group], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_comparison(out, groups, compare(groups), "uar")
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for kind in PICTURES:
        for name in ("rounds", "scores"):
            assert (out / f"{name}.{kind}").read_bytes().startswith(begins[kind])
    assert b"/Subtype /Type3" not in (out / "scores.pdf").read_bytes()
    assert {path.name for path in out.glob("table.*")} == {"table.md", "table.csv", "table.tex"}
