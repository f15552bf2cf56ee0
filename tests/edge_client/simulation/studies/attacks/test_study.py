"""The attacks on a corpus: all defences, beside guessing; what is kept, and what is refused."""

import io
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edge_client.simulation import study as runs
from edge_client.simulation.studies.attacks.picture import draw_attacks
from edge_client.simulation.studies.attacks.rebuilding import SIZES
from edge_client.simulation.studies.attacks.settings import LeakageSettings
from edge_client.simulation.studies.attacks.study import COLUMNS, KINDS, measure, rows_of_attacks
from edge_client.simulation.studies.attacks.telling import infer
from edge_client.simulation.studies.attacks.victims import CHANCE, Track, Victims, plan_leakage
from edge_client.simulation.utterances import Utterances
from shared.architectures import Architecture
from shared.errors import RunError, SettingsError
from shared.features.labelled_clips import normalised_by_owner
from shared.features.start_file import load_start
from shared.front_ends import front_end_of
from shared.starter import STARTER, STARTER_VOICE, beside
from shared.training import Examples
from tests.edge_client.tiny import NumpyEngine, utterances

TWELVE = utterances(12, 16)


def planned(**given: Any) -> LeakageSettings:
    def collect(values: Mapping[str, Any]) -> LeakageSettings:
        return LeakageSettings.parse({"corpus": "manifest", "model": "conv", **values, **given})

    return plan_leakage(collect)


def voiced(told: float) -> Utterances:
    """Give each actor a voice that shows in some features, with that of its gender."""
    rng = np.random.default_rng(1)
    speaker = np.arange(12).repeat(16)
    voices = rng.standard_normal((12, 34)) * (np.arange(34) > 8)
    voices[:, 10:14] += 2 * (np.arange(12) % 2 - 0.5)[:, None]
    names = np.array([f"ravdess Actor_{place + 1:02}" for place in speaker])
    own = TWELVE.examples
    features = own.features + (told * voices[speaker, None]).astype(np.float32)
    return replace(TWELVE, examples=replace(own, features=features), speakers=names)


@pytest.mark.parametrize(("told", "found"), [(2.0, True), (0.0, False)])
def test_attacks_gain_what_updates_tell(*, told: float, found: bool) -> None:
    settings = planned(normalisation="none", optimizer="sgd", learning_rate=0.01)
    victims = Victims(settings, voiced(told), NumpyEngine())
    gained = infer(victims, lambda steps, _: steps)
    none, chance, summed = gained["none"], gained[CHANCE], gained["secure sum of 32"]
    assert chance["gender"] == chance["member"] == 0.5
    assert chance["speaker"] == 0.25
    for attack in ("gender", "speaker"):
        plain, guess, hidden = none[attack], chance[attack], summed[attack]
        assert plain is not None
        assert guess is not None
        assert hidden is not None
        assert (plain > guess + 0.2) == found
        assert hidden < guess + 0.2
    counted, guess = none["labels"], chance["labels"]
    assert counted is not None
    assert guess is not None
    assert counted > guess + 0.02


def test_attacked_devices_begin_with_the_voice_model_beside_the_weights() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((24, 1, 1536), np.float32)
    raw = Examples(features, np.ones(24, np.int32), np.arange(24, dtype=np.int32) % 4)
    heard = Utterances(raw, np.repeat([f"one {name}" for name in "abcdef"], 4), ())
    given = {"model": "head", "front_end": "whisper-speech", "initial": STARTER}
    settings = planned(normalisation="voice", **given)
    victims = Victims(settings, heard, NumpyEngine())
    begun = load_start(beside(STARTER, "voice"), settings.task)
    front_end = front_end_of(settings.task.front_end)
    expected = normalised_by_owner(raw, heard.speakers, front_end, begun=begun)
    np.testing.assert_array_equal(victims.examples.features, expected.features)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "load_utterances", lambda _, **__: TWELVE)


@pytest.mark.usefixtures("small")
def test_finished_attacks_are_not_made_again(tiny: Architecture, tmp_path: Path) -> None:
    assert tiny.name == "conv"
    console = Console(file=io.StringIO())
    settings = planned()
    first = measure(settings, ["inferences"], tmp_path, console)
    kept = (tmp_path / "inferences" / "result.json").stat().st_mtime_ns
    assert measure(settings, ["inferences"], tmp_path, console) == first
    assert (tmp_path / "inferences" / "result.json").stat().st_mtime_ns == kept
    with pytest.raises(RunError, match="held is 8 there, 4 here"):
        measure(planned(held=4), ["inferences"], tmp_path, console)
    draw_attacks(first, tmp_path / "attacks.png")
    assert (tmp_path / "attacks.png").read_bytes().startswith(b"\x89PNG")
    rows = rows_of_attacks(first["inferences"], "inferences")
    assert rows[0] == ["defence", *COLUMNS["inferences"].values()]
    assert rows[1][:3] == [CHANCE, "", "0.25"], "nobody knows the gender of such speakers"
    assert rows[2][0] == "none"
    assert len(COLUMNS["reconstruction"]) == len(SIZES)


@pytest.mark.usefixtures("small", "tiny")
def test_how_far_an_attack_is_stands_beside_how_many_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    other = Console(file=io.StringIO(), force_terminal=True, width=100)
    drawn = []

    def attack(_: Victims, track: Track) -> dict[str, dict[str, float | None]]:
        for _ in track(["group"], 1):
            with console.capture() as said:
                console.print("a line")
            drawn.append([name for name in ("results", "inferences") if name in said.get()])
        return {CHANCE: {"member": 0.5}}

    monkeypatch.setattr("shared.command.progress.progress_console", lambda: other)
    monkeypatch.setitem(KINDS, "inferences", attack)
    measure(planned(), ["inferences"], tmp_path, console)
    assert drawn == [["results", "inferences"]]


@pytest.fixture
def guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let utterances be heard through an encoder, and the attack be a guess."""
    features = np.zeros((24, 1, 1536), np.float32)
    raw = Examples(features, np.ones(24, np.int32), np.arange(24, dtype=np.int32) % 4)
    heard = Utterances(raw, np.repeat([f"one {name}" for name in "abcdef"], 4), ())
    monkeypatch.setattr(runs, "load_utterances", lambda _, **__: heard)
    monkeypatch.setitem(KINDS, "inferences", lambda *_: {CHANCE: {"member": 0.5}})


@pytest.mark.usefixtures("guessed")
@pytest.mark.parametrize("changed", ["initial", "partition", "voice model"])
def test_attacks_by_other_files_of_the_same_names_are_not_taken_for_these(
    changed: str, tmp_path: Path
) -> None:
    initial, partition = tmp_path / "begun.safetensors", tmp_path / "clients.csv"
    voice = beside(initial, "voice")
    shutil.copy(STARTER, initial)
    shutil.copy(STARTER_VOICE, voice)
    partition.write_text("clip,client\n")
    files = {"initial": initial, "partition": str(partition), "normalisation": "voice"}
    settings = planned(model="head", front_end="whisper-speech", **files)
    console = Console(file=io.StringIO())
    first = measure(settings, ["inferences"], tmp_path / "out", console)
    assert measure(settings, ["inferences"], tmp_path / "out", console) == first
    path = {"initial": initial, "partition": partition, "voice model": voice}[changed]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 0x80]))  # a number's sign
    with pytest.raises(RunError, match=f"the content of its {changed} is another"):
        measure(settings, ["inferences"], tmp_path / "out", console)


@pytest.mark.usefixtures("guessed")
def test_a_voice_model_that_came_or_went_is_another(tmp_path: Path) -> None:
    initial = tmp_path / "begun.safetensors"
    shutil.copy(STARTER, initial)
    given = {"initial": initial, "normalisation": "voice"}
    settings = planned(model="head", front_end="whisper-speech", **given)
    console, voice = Console(file=io.StringIO()), beside(initial, "voice")
    measure(settings, ["inferences"], tmp_path / "without", console)
    shutil.copy(STARTER_VOICE, voice)
    measure(settings, ["inferences"], tmp_path / "with", console)
    with pytest.raises(RunError, match="its voice model is another"):
        measure(settings, ["inferences"], tmp_path / "without", console)
    voice.unlink()
    with pytest.raises(RunError, match="its voice model is another"):
        measure(settings, ["inferences"], tmp_path / "with", console)


@pytest.mark.usefixtures("small")
def test_what_is_refused(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    with pytest.raises(SettingsError, match="no attack telepathy; there are: inferences, recon"):
        measure(planned(), ["telepathy"], tmp_path, console)
    with pytest.raises(SettingsError, match="12 speakers are too few to attack in 7 groups"):
        measure(planned(folds=7), ["inferences"], tmp_path, console)
    assert not list(tmp_path.iterdir())
    with pytest.raises(SettingsError, match="needs codec = float32 here"):
        plan_leakage(lambda values: LeakageSettings.parse({**values, "codec": "int8"}))
