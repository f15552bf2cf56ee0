"""A task is a value that travels: whole, checked, and told apart from others in one sentence."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.task import (
    DEFAULT_TASK,
    MOST_LABELS,
    PAPER34,
    FrontEndShape,
    Task,
    labels_of,
)

EIGHT = ("angry", "happy", "neutral", "sad", "fearful", "disgusted", "surprised", "calm")

names = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzäß0123456789-_", min_size=1, max_size=32)
    .map(lambda text: "x" + text[1:])
    .filter(str.islower),
    min_size=2,
    max_size=MOST_LABELS,
    unique=True,
)


@given(names)
def test_a_task_comes_back_whole_from_json(labels: list[str]) -> None:
    task = Task(labels_of(labels), FrontEndShape("mfcc40", 2, 1000, 40, variable=True))
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task


@given(names)
def test_no_two_labels_look_alike_or_have_the_same_key(labels: list[str]) -> None:
    task = Task(labels_of(labels), PAPER34)
    assert len({(label.colour, label.shape) for label in task.labels}) == len(labels)
    keys = task.keys("dupq")
    assert not set(keys) & set("dupq")
    assert len(set(keys.values())) == len(keys)
    assert len(keys) == min(len(labels), 32)


def test_the_default_task_is_four_emotions_on_the_papers_features() -> None:
    assert DEFAULT_TASK.names == ("angry", "happy", "neutral", "sad")
    assert (DEFAULT_TASK.front_end.frames, DEFAULT_TASK.front_end.features) == (100, 34)
    assert DEFAULT_TASK.keys("dupq") == dict(zip("ahns", DEFAULT_TASK.names, strict=True))


def test_keys_are_the_first_free_letters() -> None:
    keys = Task(labels_of(EIGHT), PAPER34).keys("dupq")
    assert list(keys) == ["a", "h", "n", "s", "f", "i", "r", "c"]


ENCODED = Task(DEFAULT_TASK.labels, FrontEndShape("whisper", 1, 1, 1536, weights="ab" * 32))
OTHERWISE = Task(DEFAULT_TASK.labels, replace(ENCODED.front_end, weights="cd" * 32))


def test_a_task_without_an_encoder_is_as_it_was_before_there_were_any() -> None:
    assert DEFAULT_TASK.digest == (
        "705a239afdeeff20741fe8e4ac360d6d149e96f03cfe54f6917d20e5c14e17ff"
    )
    assert DEFAULT_TASK.to_dict()["front_end"] == {
        "name": "paper34",
        "version": 1,
        "frames": 100,
        "features": 34,
        "variable": False,
    }


def test_the_encoder_is_part_of_the_task() -> None:
    assert Task.from_dict(json.loads(json.dumps(ENCODED.to_dict()))) == ENCODED
    assert OTHERWISE.digest != ENCODED.digest
    assert ENCODED.difference(OTHERWISE) == (
        "its encoder is cdcdcdcd (whisper 1, 1 x 1536) instead of abababab (whisper 1, 1 x 1536)"
    )
    assert DEFAULT_TASK.difference(ENCODED) == (
        "its features are whisper 1 with the encoder abababab (1 x 1536) instead of "
        "paper34 1 (100 x 34)"
    )


@pytest.mark.parametrize("weights", ["ab", "AB" * 32, "\x1b" * 64, "g" * 64], ids=repr)
def test_an_encoder_is_named_by_a_digest(weights: str) -> None:
    with pytest.raises(ValueError, match="is no digest of an encoder") as raised:
        FrontEndShape("whisper", 1, 1, 1536, weights=weights)
    assert str(raised.value).isprintable()


def test_what_people_see_is_not_what_models_depend_on() -> None:
    seen = DEFAULT_TASK.to_dict()
    seen["labels"][0] |= {"word": "Wütend", "colour": "teal"}
    assert Task.from_dict(seen).digest == DEFAULT_TASK.digest
    assert DEFAULT_TASK.difference(Task.from_dict(seen)) is None


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (
            Task(labels_of(["sad", "calm"]), PAPER34),
            "it recognises sad, calm instead of angry, happy, neutral, sad",
        ),
        (
            Task(labels_of(["happy", "angry", "neutral", "sad"]), PAPER34),
            "it recognises happy, angry, neutral, sad instead of angry, happy, neutral, sad",
        ),
        (
            Task(DEFAULT_TASK.labels, FrontEndShape("mfcc40", 1, 1000, 40, variable=True)),
            "its features are mfcc40 1 (up to 1000 x 40) instead of paper34 1 (100 x 34)",
        ),
    ],
)
def test_another_task_is_told_in_words(other: Task, sentence: str) -> None:
    assert DEFAULT_TASK.difference(other) == sentence
    assert other.digest != DEFAULT_TASK.digest


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([], "there should be 2 to 32 labels, there are 0"),
        (["sad"], "there should be 2 to 32 labels, there are 1"),
        ([f"x{number}" for number in range(33)], "there should be 2 to 32 labels, there are 33"),
        (["sad", "sad"], "the label sad is given twice"),
        (["sad", "so sad"], "the label so sad should be 1 to 32 small letters"),
        (["sad", ""], "the label '' should be"),
        (["sad", "\x1b[31m"], "the label ?"),
        (["sad", "other"], "no label can be called other"),
        (["sad", "y" * 33], "should be 1 to 32 small letters"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        Task(labels_of(labels), PAPER34)
    assert sentence in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("labels",), None),
        (("labels",), ["sad", "happy"]),
        (("labels", 0, "name"), 7),
        (("labels", 0, "colour"), "javascript:alert(1)"),
        (("labels", 0, "word"), "<b>\n"),
        (("front_end",), []),
        (("front_end", "frames"), 0),
        (("front_end", "frames"), True),
        (("front_end", "features"), 1 << 40),
        (("front_end", "version"), "1"),
        (("front_end", "name"), "../x"),
        (("score",), "accuracy"),
    ],
)
def test_what_is_no_task_is_refused(place: tuple[Any, ...], value: Any) -> None:
    values = DEFAULT_TASK.to_dict()
    inner: Any = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValueError, match=r"."):
        Task.from_dict(values)


def test_a_newer_versions_fields_are_left_aside() -> None:
    values = DEFAULT_TASK.to_dict() | {"weight": 3}
    values["labels"][0]["sound"] = "beep"
    assert Task.from_dict(values) == DEFAULT_TASK
