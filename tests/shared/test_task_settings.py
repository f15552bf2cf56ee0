"""The settings of a task: what they take, and what they say of what cannot be."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import SettingsError
from shared.front_ends import MFCC40, front_end_of
from shared.task import DEFAULT_TASK, MOST_LABELS, FrontEndShape, options_for
from shared.task_settings import TaskSettings

EIGHT = "angry,happy,neutral,sad,fearful,disgusted,surprised,calm"


def test_without_settings_it_is_the_default_task() -> None:
    assert TaskSettings().task == DEFAULT_TASK
    assert options_for(DEFAULT_TASK) == ""


def test_labels_come_as_text_or_as_a_list() -> None:
    as_text = TaskSettings.parse({"labels": EIGHT})
    as_list = TaskSettings.parse({"labels": EIGHT.split(",")})
    assert as_text == as_list
    assert as_text.task.names == tuple(EIGHT.split(","))
    assert options_for(as_text.task) == f"--labels {EIGHT}"


def test_a_front_end_is_named_by_its_name() -> None:
    task = TaskSettings.parse({"front_end": "mfcc40"}).task
    assert task.front_end == MFCC40
    assert options_for(task) == "--front-end mfcc40"
    digest = "1a2b3c4d" * 8
    own = FrontEndShape("whisper-1a2b3c4d", 1, 1, 384, weights=digest)
    of_file = options_for(replace(DEFAULT_TASK, front_end=own))
    assert of_file.startswith("--front-end FILE.safetensors ")
    assert "SHA-256 1a2b3c4d" in of_file
    packaged = replace(own, name="whisper")
    assert options_for(replace(DEFAULT_TASK, front_end=packaged)) == "--front-end whisper"


def test_the_same_names_written_otherwise_are_the_same_settings() -> None:
    assert TaskSettings.parse({"labels": " Calm, SAD "}) == TaskSettings.parse(
        {"labels": "calm,sad"}
    )


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("angry,sad,angry", "the label angry is given twice"),
        ("angry,sad,Angry", "the label angry is given twice"),
        ("", "there should be 2 to 32 labels, there are 0"),
        ([], "there should be 2 to 32 labels, there are 0"),
        ("angry", "there should be 2 to 32 labels, there are 1"),
        (",".join(f"l{i}" for i in range(MOST_LABELS + 1)), "2 to 32 labels, there are 33"),
        ("angry,s d", "the label s d should be 1 to 32 small letters"),
        ("angry,\x1b[31msad", "the label ?[31msad should be"),
        ("angry," + "x" * 33, "should be 1 to 32 small letters"),
        ("angry,other", "no label can be called other"),
    ],
)
def test_labels_that_cannot_be_are_named_in_one_sentence(labels: object, said: str) -> None:
    with pytest.raises(SettingsError, match="The setting labels = ") as error:
        TaskSettings.parse({"labels": labels})
    assert said in error.value.problem
    assert "\n" not in error.value.problem


def test_an_unknown_front_end_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="no front end mfcc; there are: paper34, mfcc40"):
        TaskSettings.parse({"front_end": "mfcc"})


def test_front_ends_of_ours_and_of_one_s_own_make_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TaskSettings.parse({"front_end": "mfcc40"}).task.front_end == MFCC40
    (tmp_path / "of_my_own.py").write_text(
        "from shared.front_ends import FrontEnd\n"
        "from shared.task import FrontEndShape\n"
        "MINE = FrontEnd(FrontEndShape('my-own', 2, 50, 3), 0.1, len)\n"
        "NONE = len\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    task = TaskSettings.parse({"front_end": "of_my_own:MINE"}).task
    assert str(task.front_end) == "my-own 2"
    assert front_end_of(task.front_end).hop == 0.1
    for wrong, said in [
        (
            "of_my_own:NONE",
            "the front end of_my_own:NONE is not a valid front end: it is a builtin",
        ),
        ("of_my_own:GONE", "the front end of_my_own:GONE cannot be imported"),
        ("nowhere:MINE", "the front end nowhere:MINE cannot be imported"),
    ]:
        with pytest.raises(SettingsError) as error:
            TaskSettings.parse({"front_end": wrong})
        assert f"The setting front_end = '{wrong}' is wrong: {said}" in error.value.problem
        assert "\n" not in error.value.problem
