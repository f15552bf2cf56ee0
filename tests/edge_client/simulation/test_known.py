"""What a device knows of its user when it is tested."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_client.simulation.data import Split, split
from edge_client.simulation.known import devices, examples_of, score_by_known
from edge_client.simulation.normalisation import normalise
from edge_client.simulation.report import print_result
from edge_client.simulation.run import Run
from edge_client.simulation.run_folder import RunFolder
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.summary import summarise
from shared.errors import SettingsError
from shared.features.normalisation import RunningStatistics
from shared.front_ends import FRONT_ENDS
from tests.edge_client.simulation.runs import Watcher
from tests.edge_client.tiny import NumpyEngine, utterances

pytestmark = pytest.mark.usefixtures("tiny")
PAPER = FRONT_ENDS.get("paper34")
WHOLE = utterances(6, 8)  # two of each label and speaker
TRAIN = np.arange(24, 48)
TEST = np.arange(8, 24)  # the second and the third speaker


def simulation(**values: Any) -> SimulationSettings:
    return SimulationSettings.parse(values)


def execute(folder: Path, **values: Any) -> dict[str, Any]:
    settings = simulation(rounds=1, **values)
    RunFolder(folder).claim(settings, resume=False, overwrite=False)
    return Run(settings, RunFolder(folder), WHOLE, [NumpyEngine()]).execute(Watcher())


def test_with_all_known_each_speaker_has_one_device_that_has_heard_everything() -> None:
    found = list(devices("all", WHOLE, TEST, 0))
    assert [device.heard.tolist() for device in found] == [[*range(8, 16)], [*range(16, 24)]]
    expected = normalise(WHOLE, TRAIN, "device", PAPER).take(TEST)
    own = examples_of(found, WHOLE, TRAIN, "device", PAPER)
    assert own.features.tobytes() == expected.features.tobytes()
    assert own.labels.tolist() == expected.labels.tolist()


@pytest.mark.parametrize(("known", "moods", "choices"), [("one", 1, 4), ("two", 2, 6)])
def test_with_some_moods_known_a_device_hears_and_recognises_nothing_else(
    known: str, moods: int, choices: int
) -> None:
    found = list(devices(known, WHOLE, TEST, 0))
    assert len(found) == 2 * choices
    labels = [set(WHOLE.examples.labels[device.heard].tolist()) for device in found]
    assert {len(some) for some in labels} == {moods}
    assert len(set(map(frozenset, labels))) == choices
    for device in found:
        assert len(set(WHOLE.speakers[device.heard])) == 1
        assert device.tested.tolist() == list(range(2 * moods))


def test_a_speaker_of_one_label_has_one_device_where_two_moods_would_be_known() -> None:
    angry = WHOLE.take(np.flatnonzero(WHOLE.examples.labels == 0))
    (device,) = devices("two", angry, np.array([0, 1]), 0)
    assert device.heard.tolist() == [0, 1]


def test_who_is_mostly_in_one_mood_is_once_in_each_other() -> None:
    labels = np.repeat(np.arange(3), (20, 12, 1)).astype(np.int32)
    speech = WHOLE.take(np.zeros(33, np.int64))
    speech = replace(speech, examples=replace(speech.examples, labels=labels))
    test = np.arange(0, 33, 2)
    found = list(devices("mostly", speech, test, 0))
    counts = [np.bincount(labels[device.heard], minlength=3).tolist() for device in found]
    assert counts == [[20, 2, 1], [2, 12, 1], [1, 1, 1]]
    for device in found:
        heard = device.heard.tolist()
        assert heard == sorted(set(heard))
        assert set(device.heard[device.tested]) == set(heard) & set(test)
    again = devices("mostly", speech, test, 0)
    assert [one.heard.tolist() for one in again] == [one.heard.tolist() for one in found]
    other = devices("mostly", speech, test, 1)
    assert [one.heard.tolist() for one in other] != [one.heard.tolist() for one in found]


def test_with_nothing_known_the_utterance_alone_gives_the_statistics() -> None:
    some = list(devices("none", WHOLE, TEST, 0))
    found = examples_of(some, WHOLE, TRAIN, "device", PAPER)
    assert found.labels.tolist() == WHOLE.examples.labels[TEST].tolist()
    for place, (index, device) in enumerate(zip(TEST, some, strict=True)):
        assert device.heard.tolist() == [index]
        statistics, count = RunningStatistics(PAPER), WHOLE.examples.frames[index]
        raw = WHOLE.examples.features[index]
        statistics.update(raw[:count])
        np.testing.assert_array_equal(found.features[place], statistics.normalise(raw, count))


def test_a_number_draws_other_utterances_of_the_same_speaker() -> None:
    found = list(devices("3", WHOLE, TEST, 0))
    for index, device in zip(TEST, found, strict=True):
        *others, own = device.heard.tolist()
        assert own == index
        assert len({*others, own}) == 4
        assert set(WHOLE.speakers[others]) == {WHOLE.speakers[index]}
        assert device.tested.tolist() == [3]
    again = list(devices("3", WHOLE, TEST, 0))
    other = list(devices("3", WHOLE, TEST, 1))
    assert [d.heard.tolist() for d in found] == [d.heard.tolist() for d in again]
    assert [d.heard.tolist() for d in found] != [d.heard.tolist() for d in other]


def test_a_number_of_more_than_there_are_takes_all() -> None:
    assert {len(device.heard) for device in devices("99", WHOLE, TEST, 0)} == {8}


def test_speakers_who_are_trained_on_too_are_known_by_those_utterances() -> None:
    found = list(devices("all", WHOLE, np.array([9, 11]), 0))
    assert [device.heard.tolist() for device in found] == [[*range(8, 16)]]
    assert found[0].tested.tolist() == [1, 3]


def test_other_normalisations_do_not_ask_what_is_known() -> None:
    settings = simulation(normalisation="corpus", known="4")
    everything = WHOLE.examples.take(TEST)
    parts = Split(TRAIN, np.arange(8), TEST)
    found = score_by_known(WHOLE, parts, everything, settings, lambda some: some)
    assert list(found) == ["all", "two", "one", "none", "4"]
    assert all(some is everything for some in found.values())


def test_a_run_scores_all_side_by_side_and_reports_what_was_asked_for(tmp_path: Path) -> None:
    results = {known: execute(tmp_path / known, known=known) for known in ("all", "one", "4")}
    assert list(results["4"]["known"]) == ["all", "two", "one", "none", "4"]
    for known, result in results.items():
        assert result["uar"] == result["known"][known]["uar"]
        assert result["confusion"] == result["known"][known]["confusion"]
        assert result["known"]["one"] == results["all"]["known"]["one"]
    count = len(split(WHOLE, simulation()).test)
    totals = {name: np.sum(own["confusion"]) for name, own in results["4"]["known"].items()}
    assert totals == {"all": count, "two": 3 * count, "one": count, "none": count, "4": count}
    assert RunFolder(tmp_path / "4").read_result() == results["4"]


def outcome(seed: int, known: dict[str, list[list[int]]]) -> dict[str, Any]:
    return {
        "seed": seed,
        "classes": {"a": None, "b": None},
        "confusion": [[1, 0], [0, 1]],
        "seconds": 1,
        "clients": 1,
        "bytes_up_per_round": 0,
        "settings": {"rounds": 1},
        "known": {name: {"uar": 0, "confusion": matrix} for name, matrix in known.items()},
    }


def test_a_summary_pools_folds_and_averages_seeds_for_all_that_is_known() -> None:
    summary = summarise(
        [
            outcome(0, {"one": [[2, 0], [0, 0]]}),
            outcome(0, {"one": [[0, 0], [2, 0]]}),
            outcome(1, {"one": [[1, 0], [0, 1]]}),
        ]
    )
    assert summary["known"] == {"one": {"uar": 0.75, "std": pytest.approx(0.125**0.5)}}


def test_what_is_known_is_printed_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    print_result(execute(tmp_path), tmp_path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if "two" in line and "none" in line)
    assert "all" in header
    assert "one" in header


@pytest.mark.parametrize("known", ["three", "0", "-1", "1.5", ""])
def test_anything_else_is_refused(known: str) -> None:
    with pytest.raises(
        SettingsError, match="known should be all, two, one, none, mostly or a number"
    ):
        simulation(known=known)
