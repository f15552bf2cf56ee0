"""Several runs that belong together."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edge_client.learning.training import Engine
from edge_client.simulation import study
from edge_client.simulation.engines import Engines
from edge_client.simulation.progress import work
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.study import Planned, execute
from edge_client.simulation.summary import METRICS, summarise
from edge_client.simulation.utterances import Utterances
from shared.corpora import load_corpus
from shared.errors import ChorusError, CorpusError, RunError, SettingsError
from shared.features.cache import SkippedClip
from shared.model_notes.calibration import Reliability
from shared.task import DEFAULT_TASK
from tests.edge_client.tiny import NumpyEngine, utterances

CLIP = load_corpus("synthetic").clips[0]


class Loaded:
    """Stands in for the corpora and engines; notes which were asked for."""

    def __init__(self) -> None:
        self.corpora: list[str] = []
        self.engines: list[str] = []

    def utterances(self, settings: SimulationSettings, *, progress: bool) -> Utterances:
        assert progress
        self.corpora.append(settings.corpus)
        if settings.corpus == "broken":
            raise CorpusError("It is broken.")
        plain = utterances(6, 8)
        return Utterances(plain.examples, plain.speakers, (SkippedClip(CLIP, "It is [empty]."),))

    def engine(self, settings: SimulationSettings) -> list[Engine]:
        self.engines.append(settings.model)
        return [NumpyEngine()]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tiny: object, undrawn: None) -> Loaded:
    assert tiny
    del undrawn
    loaded = Loaded()
    monkeypatch.setattr(study, "load_utterances", loaded.utterances)
    monkeypatch.setattr(Engines, "get", lambda _, settings: loaded.engine(settings))
    return loaded


def planned(path: Path, **values: Any) -> Planned:
    return Planned(path, SimulationSettings.parse({"rounds": 2, **values}), path.name)


def make(*plan: Planned, **how: Any) -> tuple[list[dict[str, Any]], str]:
    text = io.StringIO()
    return execute(plan, Console(file=text, width=200, markup=False), **how), text.getvalue()


def test_runs_are_made_in_order_and_corpora_loaded_once(tmp_path: Path, loaded: Loaded) -> None:
    results, text = make(*(planned(tmp_path / f"seed-{seed}", seed=seed) for seed in (5, 3)))
    assert [result["seed"] for result in results] == [5, 3]
    assert loaded.corpora == ["synthetic"]
    assert "seed-5  round 2/2" in text
    assert text.index("seed-5") < text.index("seed-3")
    assert (tmp_path / "seed-3" / "result.json").exists()


def test_skipped_clips_are_named_and_counted(tmp_path: Path, loaded: Loaded) -> None:
    assert loaded
    (result,), text = make(planned(tmp_path / "run"))
    assert f"skipped {CLIP.identifier}: It is [empty]." in text
    assert "1 clips were skipped." in text
    assert result["utterances"]["skipped"] == [f"{CLIP.identifier}: It is [empty]."]


def test_finished_runs_are_taken_from_their_folders(tmp_path: Path, loaded: Loaded) -> None:
    first, _ = make(planned(tmp_path / "a"))
    assert loaded.engines == ["conv"]
    both, text = make(planned(tmp_path / "a"), planned(tmp_path / "b", seed=1), resume=True)
    assert loaded.engines == ["conv", "conv"]
    assert both[0] == first[0]
    assert "a  round" not in text


@pytest.mark.parametrize(
    "change",
    [dict.clear, lambda own: own.pop("uar"), lambda own: own.update(confusion=3, classes={})],
)
def test_a_result_that_somebody_has_changed_is_called_damaged(
    tmp_path: Path, loaded: Loaded, change: Callable[[dict[str, Any]], object]
) -> None:
    one = planned(tmp_path / "one")
    ((result,), _) = make(one)
    change(result)
    RunFolder(one.folder).write_result(result)
    with pytest.raises(RunError, match=r"one/result\.json is damaged \(") as caught:
        make(one, resume=True)
    assert "Delete it" in caught.value.remedy
    assert loaded.corpora


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"corpus": "broken"}, CorpusError),
        ({"strategy": "best"}, SettingsError),
        ({"clients": 1000}, SettingsError),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_touched_unless_all_runs_can_start(
    tmp_path: Path,
    loaded: Loaded,
    *,
    values: dict[str, Any],
    error: type[ChorusError],
    overwrite: bool,
) -> None:
    assert loaded
    (old,), _ = make(planned(tmp_path / "old"))
    plan = [planned(tmp_path / "new"), planned(tmp_path / "bad", **values)]
    if overwrite:
        plan.insert(0, planned(tmp_path / "old", seed=9))
    with pytest.raises(error):
        make(*plan, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert RunFolder(tmp_path / "old").read_result() == old


def test_a_folder_of_another_run_is_refused_before_any_work(tmp_path: Path, loaded: Loaded) -> None:
    make(planned(tmp_path / "a"))
    loaded.corpora.clear()
    with pytest.raises(RunError, match="seed is 0 there, 1 here"):
        make(planned(tmp_path / "a", seed=1), resume=True)
    assert loaded.corpora == []


def test_a_strategy_that_does_not_exist_is_told_before_any_work(
    tmp_path: Path, loaded: Loaded
) -> None:
    with pytest.raises(SettingsError, match="no strategy best"):
        make(planned(tmp_path / "a"), planned(tmp_path / "b", strategy="best"))
    assert loaded.corpora == []


def test_a_run_that_somebody_else_has_taken_since_is_left_to_them(
    tmp_path: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded
    mine, theirs = planned(tmp_path / "b"), planned(tmp_path / "b", seed=7)

    def engine(_: Engines, settings: SimulationSettings) -> list[Engine]:
        assert settings.seed == 1, "this is the first run"
        RunFolder(theirs.folder).claim(theirs.settings, resume=False, overwrite=True)
        return [NumpyEngine()]

    monkeypatch.setattr(Engines, "get", engine)
    with pytest.raises(RunError, match="b belongs to another run: seed is 7 there, 0 here"):
        make(planned(tmp_path / "a", seed=1), mine)
    assert (tmp_path / "a" / "result.json").exists()
    assert not (tmp_path / "b" / "result.json").exists()


def test_nobody_gets_into_a_run_that_is_going_on(
    tmp_path: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded
    mine = planned(tmp_path / "a")

    def engine(*_: object) -> list[Engine]:
        with pytest.raises(RunError, match="in use by another process"):
            RunFolder(mine.folder).claim(mine.settings, resume=False, overwrite=True)
        return [NumpyEngine()]

    monkeypatch.setattr(Engines, "get", engine)
    (result,), _ = make(mine)
    assert RunFolder(mine.folder).read_result() == result


def test_a_finished_run_of_old_is_tidied_up(tmp_path: Path, loaded: Loaded) -> None:
    assert loaded
    make(planned(tmp_path / "a"))
    old = RunFolder(tmp_path / "a")
    old.checkpoint.write_bytes(b"large")
    make(planned(tmp_path / "a"), resume=True)
    assert not old.checkpoint.exists()


def test_time_is_estimated_by_who_really_trains(
    tmp_path: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded
    estimated = []

    def note(settings: SimulationSettings, examples: Sequence[int]) -> float:
        estimated.append(list(examples))
        return work(settings, examples)

    monkeypatch.setattr(study, "work", note)
    make(planned(tmp_path / "a"), planned(tmp_path / "b", partition="speaker"))
    assert estimated == [[8] * 4, [8] * 4]
    make(
        planned(tmp_path / "c", baseline=True),
        planned(tmp_path / "d", examples_per_client=800, clients=2),
    )
    assert estimated[2:] == [[32], [32, 32]]


def test_overwriting_makes_the_run_anew(tmp_path: Path, loaded: Loaded) -> None:
    make(planned(tmp_path / "a"))
    (result,), _ = make(planned(tmp_path / "a", seed=1), overwrite=True)
    assert result["seed"] == 1
    assert len(loaded.engines) == 2


def test_overwriting_removes_no_run_while_another_is_in_use(tmp_path: Path, loaded: Loaded) -> None:
    assert loaded
    olds, _ = make(planned(tmp_path / "a"), planned(tmp_path / "b"))
    plan = [planned(tmp_path / name, seed=9) for name in ("new", "a", "b")]
    with (
        RunFolder(tmp_path / "b").locked(),
        pytest.raises(RunError, match="b is in use by another process"),
    ):
        make(*plan, overwrite=True)
    assert [RunFolder(tmp_path / name).read_result() for name in ("a", "b")] == olds
    assert not (tmp_path / "new").exists()


def outcome(seed: int, matrix: list[list[int]], seconds: float = 10) -> dict[str, Any]:
    return {
        "seed": seed,
        "classes": dict.fromkeys(DEFAULT_TASK.names),
        "confusion": matrix,
        "seconds": seconds,
        "clients": 4,
        "bytes_up_per_round": 100,
        "settings": {"rounds": 7},
    }


RIGHT = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]]
HALF = [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 1, 1], [0, 2, 0, 0]]


def test_seeds_give_mean_and_standard_deviation() -> None:
    summary = summarise([outcome(0, RIGHT), outcome(1, HALF, 20)])
    assert set(summary["mean"]) == set(summary["std"]) == set(METRICS)
    assert summary["mean"]["accuracy"] == 0.75
    assert summary["std"]["accuracy"] == pytest.approx(0.125**0.5)  # n - 1
    assert summary["each"]["uar"] == [1.0, 0.5]
    assert summary["confusion"] == [[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 3, 1], [0, 2, 0, 2]]
    assert (summary["seeds"], summary["runs"], summary["seconds"]) == ([0, 1], 2, 30)
    assert (summary["rounds"], summary["clients"], summary["bytes_up"]) == (7, 4, 700)


def test_folds_of_a_seed_are_pooled() -> None:
    one_emotion = [[9, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    others = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    summary = summarise([outcome(0, one_emotion), outcome(0, others)])
    assert summary["mean"]["uar"] == 0.25, "not the mean of the folds' 1 and 0"
    assert summary["std"]["uar"] is None
    assert summary["seeds"] == [0]


def test_how_far_answers_can_be_relied_on_is_pooled() -> None:
    one, other = (Reliability.of([[share, 1 - share]], [0]) for share in (0.9, 0.4))
    told = [
        outcome(0, RIGHT) | {"reliability": own.to_dict(), "known": {"all": known}}
        for own in (one, other)
        for known in [{"confusion": RIGHT, "reliability": own.to_dict()}]
    ]
    summary = summarise(told)
    assert Reliability.from_dict(summary["reliability"]) == one + other
    assert summary["calibration_error"] == (one + other).error
    assert summary["known"]["all"]["calibration_error"] == (one + other).error
    assert "reliability" not in summarise([told[0], outcome(1, RIGHT)]), "one does not say it"


@pytest.mark.parametrize("place", ["", "controls"])
@pytest.mark.parametrize("setting", ["initial", "front_end", "partition"])
def test_what_a_run_reads_is_not_removed_with_the_run_it_replaces(
    tmp_path: Path, loaded: Loaded, setting: str, place: str
) -> None:
    make(planned(tmp_path / "a"), planned(tmp_path / "b", seed=1))
    own = RunFolder(tmp_path / "a")
    read = own.rounds if setting == "partition" else own.model
    if place:
        own.controls.mkdir()
        read = read.rename(own.controls / read.name)
    content = read.read_bytes()
    settings = SimulationSettings.parse({"rounds": 2}).model_copy(
        update={setting: read if setting == "initial" else str(read)}
    )
    plan = [planned(tmp_path / "a"), Planned(tmp_path / "b", settings)]
    loaded.corpora.clear()
    with pytest.raises(SettingsError, match="which is read, is the same file"):
        make(*plan, overwrite=True)
    assert read.read_bytes() == content
    assert loaded.corpora == []
