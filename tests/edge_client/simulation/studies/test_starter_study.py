"""What starters reach on people they have never heard."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from edge_client.learning import starter
from edge_client.learning.discriminant_head import fit_discriminant_head
from edge_client.learning.personal_model import PersonalModel
from edge_client.learning.starter import make_starter, reached_on
from edge_client.simulation.studies import personalisation_study, starter_study
from edge_client.simulation.studies.personalisation_study import CORRECTIONS
from edge_client.simulation.studies.starter_study import Plan, rows_of_starters, study
from shared.command import progress_console
from shared.corpora import AudioFile, Corpus, load_corpus
from shared.errors import RunError, SettingsError
from shared.features.labelled_clips import normalised_by_owner
from shared.task import Task, labels_of
from shared.task_settings import TaskSettings
from shared.weights import Weights
from tests.edge_client.device.pooled import NAME

SHAPE = TaskSettings.parse({"front_end": NAME}).task.front_end
TASK = Task(labels_of(("angry", "sad")), SHAPE)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus("synthetic", task=TASK, speakers=6, clips_per_speaker=36)


def plan(*corpora: Corpus, tests: tuple[Corpus, ...] = (), **values: Any) -> Plan:
    given = {"how": "device", "copies": 0, "folds": 3, "seeds": (0,), "orders": 0, **values}
    return Plan(corpora, tests, TASK, **given)


def studied(plan: Plan) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        return study(plan, Path(folder), progress_console())


def test_on_another_corpus_it_finds_what_a_starter_says_of_itself(corpus: Corpus) -> None:
    others = load_corpus("synthetic", task=TASK, speakers=4, clips_per_speaker=12)
    (found,) = studied(plan(corpus, tests=(others,)))
    made = make_starter([corpus], TASK, "device", measured=False, progress=False)
    reached = reached_on(made, others, progress=False)
    assert {known: found["known"][known] for known in reached} == {
        known: uar for known, (uar, _) in reached.items()
    }
    assert set(found["known"]) == {"all", "two", "one", "none", "4", "mostly"}
    assert len(found["speakers"]) == 4
    assert found["corrected"] is None


def test_two_corpora_of_one_kind_are_two_tests(corpus: Corpus) -> None:
    many = load_corpus("synthetic", task=TASK, speakers=4, clips_per_speaker=12)
    few = load_corpus("synthetic", task=TASK, speakers=2, clips_per_speaker=8)
    first, second = studied(plan(corpus, tests=(many, few)))
    assert first["test"] == f"{many.info.title} (1 of 2)"
    assert second["test"] == f"{many.info.title} (2 of 2)"
    assert (len(first["speakers"]), len(second["speakers"])) == (4, 2)
    (alone,) = studied(plan(corpus, tests=(few,)))
    assert second["known"] == alone["known"]
    assert len(rows_of_starters([first, second])) == 3


def test_where_several_corpora_teach_the_head_is_told_which_each_utterance_is_of(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = load_corpus("synthetic", task=TASK, speakers=4, clips_per_speaker=12)
    told = list[Counter[int]]()

    def fit(vectors: Any, labels: Any, corpora: Any, classes: int) -> Weights:
        told.append(Counter(corpora.tolist()))
        return fit_discriminant_head(vectors, labels, corpora, classes)

    monkeypatch.setattr(starter, "fit_discriminant_head", fit)
    make_starter([corpus], TASK, "device", measured=False, progress=False)
    assert not told
    make_starter([corpus, others], TASK, "device", measured=False, progress=False)
    assert told == [{0: 3 * len(corpus.labelled), 1: 3 * len(others.labelled)}]


def test_speakers_are_tested_by_starters_that_have_not_heard_them(corpus: Corpus) -> None:
    (found,) = studied(plan(corpus))
    assert len(found["speakers"]) == 6
    first = corpus.speakers[:2]
    rest = replace(corpus, clips=tuple(c for c in corpus.labelled if c.speaker not in first))
    out = replace(corpus, clips=tuple(c for c in corpus.labelled if c.speaker in first))
    made = make_starter([rest], TASK, "device", measured=False, progress=False)
    uar, _ = reached_on(made, out, progress=False)["all"]
    own = [found["speakers"][name] for name in first]
    assert np.mean(own) == pytest.approx(uar), "each speaker says each label as often"


def test_the_table_has_the_worst_speaker_before_and_after_corrections(corpus: Corpus) -> None:
    found = studied(plan(corpus, seeds=(0, 1), orders=2))
    assert [one["seed"] for one in found] == [0, 1]
    uars = [np.array(one["corrected"]) for one in found]
    assert all(each.shape == (6, len(CORRECTIONS)) for each in uars)
    header, row = rows_of_starters(found)
    assert len(header) == len(row)
    worst = [each[:, -1].min() for each in uars]
    place = header.index(f"mean after {CORRECTIONS[-1]} corrections") + 1
    assert row[place].startswith(f"{np.mean(worst):.3f} ± ")
    assert "-" in rows_of_starters(studied(plan(corpus)))[1]


def test_the_table_has_what_corrections_gave_and_who_lost_more_than_noise(corpus: Corpus) -> None:
    (found,) = studied(plan(corpus, orders=2))
    gain = np.array(found["corrected"]) - np.array(found["uncorrected"])
    np.testing.assert_allclose(found["gain"], gain)
    assert not gain[:, 0].any()
    found["noise"] = np.full(gain.shape, 1e-9).tolist()
    _, row = rows_of_starters([found])
    assert row[-1] == f"{(gain[:, 1:] < -2e-9).sum()} of {gain[:, 1:].size}"
    assert row[-2] == f"{gain[:, 1:].min():+.3f}"
    (single,) = studied(plan(corpus, orders=1))
    assert single["noise"] is None
    assert rows_of_starters([single])[1][-1] == "-"


def test_personal_models_set_out_from_how_sure_the_starter_may_be(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: set[float | None] = set()

    class Told(PersonalModel):
        @classmethod
        def fit(cls, *given: Any, **named: Any) -> PersonalModel:
            told.add(given[2])
            return PersonalModel.fit(*given, **named)

    monkeypatch.setattr(personalisation_study, "PersonalModel", Told)
    others = load_corpus("synthetic", task=TASK, speakers=4, clips_per_speaker=36)
    studied(plan(corpus, tests=(others,), orders=1))
    made = make_starter([corpus], TASK, "device", progress=False)
    assert made.calibration.temperature is not None
    assert told == {made.calibration.temperature}


def test_other_corpora_teach_beside_the_first_in_each_fold(corpus: Corpus) -> None:
    beside = load_corpus("synthetic", task=TASK, speakers=4, clips_per_speaker=12)
    parts = list(plan(corpus, beside).parts())
    assert len(parts) == 3
    for title, (own, other), out in parts:
        assert title == corpus.info.title
        assert other is beside
        assert not {*own.speakers} & {*out.speakers}
        assert {*own.speakers} | {*out.speakers} == {*corpus.speakers}
    (found,) = studied(plan(corpus, beside))
    assert len(found["speakers"]) == 6


def test_who_has_no_clip_that_can_be_used_is_in_no_fold(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    broken = replace(
        corpus.clips[0], identifier="broken", source=AudioFile(tmp_path / "broken.wav")
    )
    clips = [
        replace(clip, label=None) if clip.speaker == "voice3" else clip for clip in corpus.clips
    ]
    clips += [replace(broken, speaker="voice1"), replace(broken, speaker="voice9")]
    assert "voice3" in corpus.speakers
    (found,) = studied(plan(replace(corpus, clips=tuple(clips)), folds=5))
    assert [*found["speakers"]] == [name for name in corpus.speakers if name != "voice3"]
    assert "skipped broken: " in capsys.readouterr().err


def test_a_label_that_one_fold_alone_says_is_told_before_a_starter_is_made(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = corpus.speakers[0]
    clips = tuple(c for c in corpus.clips if c.label != "sad" or c.speaker == first)
    monkeypatch.setattr(starter_study, "make_starter", None)
    with pytest.raises(SettingsError, match="Nobody who teaches in fold 1 is sad"):
        studied(plan(replace(corpus, clips=clips)))


def test_a_study_that_was_stopped_goes_on_where_it_was(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = plan(corpus, seeds=(0, 1), orders=2)
    whole = studied(own)
    made = list[object]()

    def make(*given: Any, **named: Any) -> Any:
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(given)
        return make_starter(*given, **named)

    monkeypatch.setattr(starter_study, "make_starter", make)
    with pytest.raises(KeyboardInterrupt):
        study(own, tmp_path, progress_console())
    made[:] = [None, None]
    assert study(own, tmp_path, progress_console()) == whole, "two were left to be made"
    monkeypatch.setattr(starter_study, "make_starter", None)
    assert study(own, tmp_path, progress_console()) == whole
    with pytest.raises(RunError, match="orders is 2 there, 1 here"):
        study(replace(own, orders=1), tmp_path, progress_console())
    fewer = replace(corpus, clips=corpus.clips[1:])
    with pytest.raises(RunError, match="its clips differ"):
        study(replace(own, corpora=[fewer]), tmp_path, progress_console())
    swapped = {"angry": "sad", "sad": "angry", None: None}
    other = tuple(replace(clip, label=swapped[clip.label]) for clip in corpus.clips)
    with pytest.raises(RunError, match="its clips differ"):
        study(replace(own, corpora=[replace(corpus, clips=other)]), tmp_path, progress_console())
    monkeypatch.setattr(starter_study, "make_starter", make_starter)
    anew = replace(own, orders=0, seeds=(0,))
    (found,) = study(anew, tmp_path, progress_console(), overwrite=True)
    assert found["corrected"] is None


def test_without_somebody_to_test_on_it_says_so(corpus: Corpus) -> None:
    with pytest.raises(SettingsError, match="cannot be divided into 7 folds"):
        plan(corpus, folds=7).check()


def test_what_is_tested_is_recognised_and_what_teaches_is_not(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, list[bool]] = {"starter": [], "study": []}

    def telling(name: str) -> Any:
        def normalised(*given: Any, recognised: bool = False, **named: Any) -> Any:
            asked[name].append(recognised)
            return normalised_by_owner(*given, recognised=recognised, **named)

        return normalised

    monkeypatch.setattr(starter, "normalised_by_owner", telling("starter"))
    monkeypatch.setattr(starter_study, "normalised_by_owner", telling("study"))
    made = make_starter([corpus], TASK, "voice", measured=False, progress=False)
    assert asked["starter"]
    assert not any(asked["starter"])
    asked["starter"].clear()
    others = load_corpus("synthetic", task=TASK, speakers=4, clips_per_speaker=12)
    reached_on(made, others, progress=False)
    studied(plan(corpus, tests=(others,), how="voice"))
    assert asked["starter"][:3] == asked["study"][:3] == [True] * 3, "all, one and none"
    assert all(asked["study"])
