"""Corpora in several languages: how they are named, who teaches, who is tested."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_client.simulation.settings import DataSettings
from edge_client.simulation.studies.languages import (
    Language,
    Languages,
    languages_named,
    load_languages,
)
from shared.command import progress_console
from shared.errors import CorpusError, SettingsError
from tests.edge_client.device.pooled import NAME
from tests.edge_client.simulation.spoken import language, languages

SETTINGS = DataSettings.parse({"front_end": NAME, "labels": "angry,sad", "folds": 2})


def test_a_language_names_its_corpus_and_folder() -> None:
    assert languages_named(["en=ravdess:a/b:c", "xx=synthetic"]) == [
        Language("en", "ravdess", Path("a/b:c")),
        Language("xx", "synthetic", None),
    ]


@pytest.mark.parametrize(
    "text", ["ravdess:PATH", "en=", "en=ravdess:", "=ravdess:PATH", "en=/data"]
)
def test_what_names_no_language_or_no_corpus_is_refused(text: str) -> None:
    with pytest.raises(
        SettingsError, match="names no language, its corpus and its folder"
    ) as error:
        languages_named([text, "de=emodb:PATH"])
    assert "en=ravdess:PATH" in error.value.remedy


@pytest.mark.parametrize(
    "name", ["$\\foo$", "a|b", "a\nb", "日本語", "nothing", "Nothing", "e n", "a+b", ".", "é"]
)
def test_a_name_that_no_table_folder_or_picture_takes_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be the name of a language") as error:
        languages_named([f"{name}=emodb:PATH", "en=ravdess:PATH"])
    assert "letters from a to z" in error.value.remedy


def test_one_language_alone_is_refused() -> None:
    with pytest.raises(SettingsError, match="2 languages are needed, and there are 1"):
        languages_named(["en=ravdess:PATH"])
    assert len(languages_named(["en=ravdess:PATH"], fewest=1)) == 1


def test_two_languages_alike_are_refused() -> None:
    with pytest.raises(SettingsError, match="Two corpora are called en"):
        languages_named(["en=ravdess:PATH", "en=cremad:PATH"])
    same = language(3)
    count = len(same.examples)
    with pytest.raises(SettingsError, match=f"en and us have {count} clips in common"):
        Languages.of({"en": same, "de": language(4), "us": same}, 2)


def test_languages_that_share_a_clip_are_refused() -> None:
    english, german = language(3), language(4)
    features = german.examples.features.copy()
    features[7] = english.examples.features[2]
    frames = german.examples.frames.copy()
    frames[7] = english.examples.frames[2]
    mixed = replace(german, examples=replace(german.examples, features=features, frames=frames))
    Languages.of({"en": english, "de": german}, 2)
    with pytest.raises(SettingsError, match="en and de have 1 clips in common"):
        Languages.of({"en": english, "de": mixed}, 2)


def test_a_language_with_too_few_speakers_is_refused() -> None:
    with pytest.raises(SettingsError, match="de has one speaker: no other speaker"):
        Languages.of({"en": language(0), "de": language(1, speakers=1)}, 2)
    with pytest.raises(SettingsError, match="3 speakers of de cannot be divided into 4 folds"):
        Languages.of({"en": language(0), "de": language(1, speakers=3)}, 4)


def test_a_corpus_that_is_not_known_or_not_there_is_refused() -> None:
    console = progress_console()
    with pytest.raises(SettingsError, match="There is no corpus 'nowhere'"):
        load_languages([Language("en", "nowhere", Path("x"))], SETTINGS, console)
    with pytest.raises(CorpusError, match="needs its files") as error:
        load_languages([Language("en", "ravdess", None)], SETTINGS, console)
    assert "Name their place with --corpus en=ravdess:PATH" in error.value.remedy


def test_every_clip_is_tested_once_by_a_fold_that_does_not_teach_its_speaker() -> None:
    spoken = languages(3)
    folds = [(spoken.taught("de", fold), spoken.tested("de", fold)) for fold in (1, 2, 3)]
    speakers = spoken.whole.speakers
    for taught, tested in folds:
        assert not set(speakers[taught]) & set(speakers[tested])
        assert sorted([*taught, *tested]) == list(spoken.clips_in("de"))
    assert sorted(np.concatenate([tested for _, tested in folds])) == list(spoken.clips_in("de"))
    assert list(spoken.tested("de")) == list(spoken.taught("de")) == list(spoken.clips_in("de"))


def test_a_few_clips_are_of_every_label_and_of_speakers_who_may_teach() -> None:
    spoken = languages()
    few, more = (spoken.few("pl", 1, count, np.random.default_rng(7)) for count in (2, 5))
    labels = spoken.whole.examples.labels
    assert list(np.bincount(labels[few])) == [2, 2]
    assert set(few) < set(more), "what few were drawn is among the more"
    assert set(more) <= set(spoken.taught("pl", 1))
    assert len(spoken.few("pl", 1, 0, np.random.default_rng(7))) == 0
    all_there_are = spoken.few("pl", 1, 1000, np.random.default_rng(7))
    assert list(all_there_are) == list(spoken.taught("pl", 1))


def test_speakers_of_two_languages_never_share_statistics() -> None:
    spoken = languages()
    assert len(np.unique(spoken.whole.speakers)) == 12
    assert spoken.whole.speakers[0] == "en speaker-0"
