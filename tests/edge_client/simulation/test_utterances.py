"""The utterances of one corpus, and of two."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.utterances import load_utterances
from shared.corpora import Clip, Corpus, load_corpus
from shared.errors import CorpusError, SettingsError
from shared.task import DEFAULT_TASK


def simulation(**values: Any) -> SimulationSettings:
    return SimulationSettings.parse(values)


@pytest.fixture
def few_clips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Clip]:
    """Let each corpus be eight clips; give those of the synthetic one."""
    plain, others = (
        load_corpus("synthetic", speakers=2, clips_per_speaker=4, seed=seed) for seed in (0, 1)
    )

    def load(name: str, data: Path | None, *_: Any, **__: Any) -> Corpus:
        return others if name == "emodb" or data == Path("b.csv") else plain

    monkeypatch.setattr("edge_client.simulation.utterances.load_corpus", load)
    monkeypatch.setenv("CHORUS_CACHE", str(tmp_path / "cache"))
    return list(plain.clips)


def test_utterances_of_a_corpus(few_clips: list[Clip]) -> None:
    loaded = load_utterances(simulation())
    assert len(loaded.examples) == len(few_clips)
    assert loaded.speakers.tolist() == [f"synthetic {clip.speaker}" for clip in few_clips]
    loaded.examples.check(DEFAULT_TASK)


def test_speakers_of_two_manifests_are_not_the_same(few_clips: list[Clip]) -> None:
    loaded = load_utterances(
        simulation(corpus="manifest", data="a.csv", test_corpus="manifest", test_data="b.csv")
    )
    count = len(few_clips)
    assert loaded.foreign == count
    assert len(loaded.examples) == 2 * count
    here, there = set(loaded.speakers[:count].tolist()), set(loaded.speakers[count:].tolist())
    assert here == {f"manifest {clip.speaker}" for clip in few_clips}
    assert len(there) == len(here)
    assert not here & there


def test_speakers_of_another_corpus_keep_their_names(few_clips: list[Clip]) -> None:
    loaded = load_utterances(simulation(corpus="emodb", data="x", test_corpus="synthetic"))
    names = {f"synthetic {clip.speaker}" for clip in few_clips}
    assert set(loaded.speakers[-len(few_clips) :].tolist()) == names


def test_what_is_trained_on_tests_nothing_whatever_its_corpus_is_called(
    few_clips: list[Clip],
) -> None:
    clip = few_clips[0].identifier
    given = {"corpus": "ravdess", "data": "x", "test_corpus": "manifest", "test_data": "a.csv"}
    with pytest.raises(SettingsError, match=rf"have recordings in common: {clip} of the one is"):
        load_utterances(simulation(**given))


def test_a_missing_emotion_is_named(few_clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(clip for clip in few_clips if clip.label not in ("happy", "sad"))
    corpus = replace(load_corpus("synthetic"), clips=left)
    monkeypatch.setattr("edge_client.simulation.utterances.load_corpus", lambda *_, **__: corpus)
    with pytest.raises(CorpusError, match="synthetic has no clip labelled happy or sad") as caught:
        load_utterances(simulation())
    assert caught.value.remedy
