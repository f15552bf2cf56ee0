"""Speakers that join one after the other."""

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from edge_client.commands.experiment.speakers import _numbers
from edge_client.simulation import study
from edge_client.simulation.data import divide, split
from edge_client.simulation.engines import Engines
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.studies.experiments import Cell
from edge_client.simulation.studies.newcomers import (
    draw_newcomers,
    execute_newcomers,
    plan_newcomers,
    rows_of_newcomers,
)
from shared.errors import RunError, SettingsError
from tests.edge_client.tiny import NumpyEngine, utterances

if TYPE_CHECKING:
    from edge_client.simulation.utterances import Utterances

SIX = utterances(6, 8)


def collect(values: Mapping[str, Any]) -> SimulationSettings:
    given = {"folds": 3, "rounds": 2, "seed": 5}
    return SimulationSettings.collect(given, preset=values)


def plan(out: Path, *counts: int, seeds: int = 1) -> list[Cell]:
    return plan_newcomers(collect, "best", out, counts, seeds)


def test_each_number_of_speakers_has_every_seed_and_fold() -> None:
    cells = plan(Path("out"), 4, 1, 4, seeds=2)
    assert [cell.column for cell in cells] == ["1", "4"]
    for cell in cells:
        runs = [(run.settings.seed, run.settings.fold) for run in cell.plan]
        assert runs == [(seed, fold) for seed in (5, 6) for fold in (1, 2, 3)]
        for run in cell.plan:
            assert run.settings.clients == int(cell.column)
            assert run.settings.partition == "speaker"
            assert not run.settings.validation
    assert cells[1].plan[2].folder == Path("out/conv-4/seed-5-fold-3")


@pytest.mark.parametrize("counts", [[], [0], [3, -1]])
def test_nobody_cannot_train(counts: list[int]) -> None:
    with pytest.raises(SettingsError, match="should be 1 or more"):
        plan(Path("out"), *counts)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"partition": "random"}, "partition"),
        ({"baseline": True}, "baseline"),
        ({"protocol": "paper"}, "protocol"),
        ({"test_corpus": "emodb"}, "test_corpus"),
        ({"validation": True}, "validation"),
        ({"clients": 3}, "clients"),
        ({"training_speakers": 3}, "training_speakers"),
    ],
)
def test_what_makes_the_experiment_cannot_be_changed(given: dict[str, Any], name: str) -> None:
    def others(values: Mapping[str, Any]) -> SimulationSettings:
        return SimulationSettings.collect(given, preset=values)

    plan_newcomers(partial(SimulationSettings.collect, {}, None), "paper", Path("out"), [4], 1)
    with pytest.raises(SettingsError, match=f"The experiment needs {name} = "):
        plan_newcomers(others, "best", Path("out"), [4], 1)


def test_numbers_are_read_or_refused() -> None:
    assert _numbers(["1,20, 4"]) == _numbers(["1", "20,4"]) == [1, 20, 4]
    with pytest.raises(SettingsError, match="one,two should be whole numbers"):
        _numbers(["one,two"])


def test_more_speakers_are_the_fewer_and_others() -> None:
    tested: list[str] = []
    for fold in range(3):
        before: set[str] = set()
        for cell in plan(Path("out"), 1, 2, 3, 4):
            settings = cell.plan[fold].settings
            parts, places = divide(SIX, settings)
            training = set(SIX.speakers[parts.train].tolist())
            assert len(training) == settings.clients == len(places)
            assert training > before
            before = training
            test = SIX.speakers[parts.test]
            assert not training & set(test.tolist())
            assert len(test) == 16, "all clips of both"
        tested += sorted(set(test.tolist()))
    assert tested == sorted(set(SIX.speakers.tolist()))


def test_whoever_takes_a_runs_settings_tests_the_same_people(tmp_path: Path) -> None:
    run = plan(tmp_path, 2)[0].plan[1]
    parts = split(SIX, run.settings)
    (tmp_path / "config.toml").write_text(run.settings.to_toml())
    again = SimulationSettings.collect({}, tmp_path / "config.toml")
    for kind in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(split(SIX, again), kind), getattr(parts, kind))
    assert not {*SIX.speakers[parts.test]} & {*SIX.speakers[parts.train]}


@pytest.mark.parametrize("others", [{"protocol": "paper"}, {"test_corpus": "emodb"}])
def test_without_folds_there_are_no_training_speakers(others: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="training_speakers are those outside a fold"):
        SimulationSettings.parse({"training_speakers": 2, **others})


def test_seeds_differ_in_who_joins_first() -> None:
    (cell,) = plan(Path("out"), 1, seeds=8)
    first = {
        SIX.speakers[split(SIX, run.settings).train[0]]
        for run in cell.plan
        if run.settings.fold == 1
    }
    assert len(first) > 1


def test_more_than_there_are_cannot_join() -> None:
    settings = plan(Path("out"), 5)[0].plan[0].settings
    with pytest.raises(SettingsError, match="5 speakers cannot join: there are 4 outside fold 1"):
        split(SIX, settings)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tiny: object, undrawn: None) -> None:
    assert tiny
    del undrawn
    loaded: Utterances = SIX
    monkeypatch.setattr(study, "load_utterances", lambda _, **__: loaded)
    monkeypatch.setattr(Engines, "get", lambda *_: [NumpyEngine()])


def execute(cells: list[Cell], *, overwrite: bool = False) -> list[dict[str, Any]]:
    return execute_newcomers(cells, Console(file=io.StringIO()), overwrite=overwrite)


@pytest.mark.usefixtures("small")
def test_runs_are_made_and_kept(tmp_path: Path) -> None:
    summaries = execute(plan(tmp_path, 1, 3))
    assert [summary["column"] for summary in summaries] == ["1", "3"]
    for summary in summaries:
        assert np.sum(summary["confusion"]) == len(SIX.speakers), "every speaker tested once"
        assert len(summary["runs_uar"]) == 3
    result = tmp_path / "conv-3" / "seed-5-fold-2" / "result.json"
    made = result.stat().st_mtime_ns
    more = execute(plan(tmp_path, 1, 3, seeds=2))
    assert result.stat().st_mtime_ns == made
    assert more[1]["runs_uar"][:3] == summaries[1]["runs_uar"]
    execute(plan(tmp_path, 3), overwrite=True)
    assert result.stat().st_mtime_ns != made


@pytest.mark.usefixtures("small")
def test_nothing_is_written_if_a_run_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="5 speakers cannot join"):
        execute(plan(tmp_path / "new", 1, 5))
    assert not (tmp_path / "new").exists()
    folder = tmp_path / "conv-1" / "seed-5-fold-1"
    folder.mkdir(parents=True)
    (folder / "letter.txt").touch()
    with pytest.raises(RunError, match="no run has written"):
        execute(plan(tmp_path, 1))


def test_the_table_and_the_picture(tmp_path: Path) -> None:
    scores = {"uar": 0.5, "accuracy": 0.625, "macro_f1": 0.4}
    summaries = [
        {
            "column": str(count),
            "mean": scores,
            "std": dict.fromkeys(scores, 0.01),
            "runs_uar": [0.4, 0.6],
        }
        for count in (1, 20)
    ]
    rows = rows_of_newcomers(summaries)
    assert rows[2] == ["20", "0.500 ± 0.010", "0.625 ± 0.010", "0.400 ± 0.010", "0.400 to 0.600"]
    draw_newcomers(summaries, tmp_path / "speakers.png")
    assert (tmp_path / "speakers.png").read_bytes().startswith(b"\x89PNG")
