"""What a run begins with, or hears through, must not have heard who is tested."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from edge_client.commands.experiment.starters import starters
from edge_client.commands.simulate import simulate
from edge_client.commands.starter import starter
from edge_client.simulation.settings import DataSettings, FusionSettings, SimulationSettings
from edge_client.simulation.studies.baselines import plan_baselines
from edge_client.simulation.studies.experiments import experiment_one, experiment_two
from edge_client.simulation.studies.fusion_study import plan_fusion
from edge_client.simulation.studies.language_settings import TransferSettings
from edge_client.simulation.studies.languages import languages_named
from edge_client.simulation.studies.newcomers import plan_newcomers
from edge_client.simulation.studies.poisoning_study import plan_poisoning
from edge_client.simulation.studies.pretrained_file import said_of_heard
from edge_client.simulation.studies.small_encoders import check_files
from shared.architectures import architecture_of
from shared.encoders.network import Network
from shared.errors import SettingsError
from shared.front_ends import MFCC40
from shared.model_notes import ModelNotes
from shared.model_notes.model_card import ModelCard, Teaching
from shared.task import DEFAULT_TASK, Task
from shared.task_settings import TaskSettings
from shared.weights import initial_weights, save_weights
from tests.edge_client.device.pooled import NAME
from tests.edge_client.simulation.voices import write_voices

HEARD = "was taught by emodb: it may have heard who is tested"
OUT = Path("out")


def notes(corpus: str) -> ModelNotes:
    return ModelNotes(card=ModelCard(taught_by=(Teaching(corpus=corpus, title="Some speech"),)))


def write_network(path: Path, corpus: str) -> Path:
    """Write a network that a corpus taught: weights to begin with, and a front end."""
    architecture = architecture_of("tdnn13", Task(DEFAULT_TASK.labels, MFCC40))
    weights = initial_weights(architecture, np.random.default_rng(0))
    Network(architecture, weights, np.zeros(40), np.ones(40)).write(path, notes(corpus))
    return path


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("heard") / "heard.safetensors", "emodb")


Plan = Callable[[Mapping[str, Any]], object]


def collected(plan: Callable[..., object], given: Mapping[str, Any]) -> object:
    return plan(lambda values: SimulationSettings.collect(given, preset=values))


STUDIES: dict[str, Plan] = {
    "one": partial(
        collected, lambda collect: experiment_one(collect, "best", OUT, ["head"], ["random"], 1)
    ),
    "two": partial(collected, lambda collect: experiment_two(collect, "best", OUT, ["head"], 1)),
    "speakers": partial(collected, lambda collect: plan_newcomers(collect, "best", OUT, [2], 1)),
    "poisoning": partial(collected, lambda collect: plan_poisoning(collect, OUT, ["median"], 1)),
    "baselines": lambda given: plan_baselines(DataSettings.parse(given), OUT, ["svm"]),
    "fusion": lambda given: plan_fusion(FusionSettings.parse(given), OUT, 1),
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_front_end_that_the_tested_corpus_taught_is_refused(name: str, heard: Path) -> None:
    model = {} if name in ("baselines", "fusion") else {"model": "head"}
    given = {"corpus": "emodb", "front_end": str(heard), **model}
    with pytest.raises(SettingsError, match=HEARD):
        STUDIES[name](given)
    STUDIES[name]({**given, "corpus": "ravdess"})
    if name != "speakers":  # it has folds
        with pytest.raises(SettingsError, match=HEARD):
            STUDIES[name]({**given, "corpus": "ravdess", "test_corpus": "emodb"})


@pytest.mark.parametrize("name", ["one", "two", "speakers", "poisoning"])
def test_weights_that_the_tested_corpus_taught_are_refused(name: str, heard: Path) -> None:
    given = {"corpus": "emodb", "front_end": "whisper-speech", "model": "head"}
    with pytest.raises(SettingsError, match=HEARD):
        STUDIES[name]({**given, "initial": heard})
    STUDIES[name](given)


def test_between_languages_all_are_tested(heard: Path) -> None:
    languages = ["en=ravdess:PATH", "de=emodb:PATH"]
    settings = TransferSettings.parse({"corpus": languages, "initial": heard})
    with pytest.raises(SettingsError, match=HEARD):
        check_files(settings, languages_named(languages))
    check_files(settings, languages_named(["en=ravdess:PATH", "pl=nemo:PATH"]))


@pytest.mark.parametrize("command", [starter, starters])
def test_a_starter_is_not_tested_on_who_taught_its_front_end(
    command: Callable[..., None], tmp_path: Path
) -> None:
    front_end = write_network(tmp_path / "own.safetensors", "manifest")
    clips = write_voices(tmp_path / "clips", 2, 1.0)
    app = typer.Typer()
    app.command()(command)
    output = ["--output", str(tmp_path / "made")] if command is starter else []
    line = ["--labels", "angry,sad", "--front-end", str(front_end), *output]
    line += ["--corpus", "synthetic", "--test", f"manifest={clips}"]
    refused = CliRunner().invoke(app, line)
    assert isinstance(refused.exception, SettingsError)
    assert "was taught by manifest: it may have heard" in refused.exception.problem


def test_a_simulation_says_it_and_goes_on(tmp_path: Path) -> None:
    task = TaskSettings.parse({"front_end": NAME, "labels": "angry,sad"}).task
    head = architecture_of("head", task)
    initial = tmp_path / "initial.safetensors"
    weights = initial_weights(head, np.random.default_rng(0))
    save_weights(initial, weights, head, notes("manifest"))
    clips = write_voices(tmp_path / "clips", 4, 1.0)
    app = typer.Typer()
    app.command()(simulate)
    line = ["--corpus", "manifest", "--data", str(clips), "--initial", str(initial)]
    line += ["--labels", "angry,sad", "--front-end", NAME, "--model", "head", "--engine", "tflite"]
    line += ["--rounds", "1", "--folds", "4", "--clients", "2", "--seeds", "2"]
    done = CliRunner().invoke(app, [*line, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    sentence = f"{initial} was taught by manifest: it may have heard who is tested."
    assert " ".join(done.stderr.split()).count(sentence) == 1


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    settings = SimulationSettings.parse({"initial": tmp_path / "away.safetensors"})
    assert said_of_heard(settings) == []
