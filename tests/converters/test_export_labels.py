"""Weights of other labels as a file for phones: the file has as many logits as they have labels."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from converters.cli import app
from converters.export import Job
from shared.architectures import architecture_of
from shared.errors import SettingsError, WeightsError
from shared.task import PAPER34, Task, labels_of
from shared.tflite import Session
from shared.weights import initial_weights, save_weights

EIGHT = Task(labels_of(f"label{number}" for number in range(8)), PAPER34)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    architecture = architecture_of("conv", EIGHT)
    path = tmp_path / "eight.safetensors"
    save_weights(path, initial_weights(architecture, np.random.default_rng(0)), architecture)
    return path


@pytest.mark.parametrize("model", ["conv", None])
def test_weights_say_their_task(weights: Path, tmp_path: Path, model: str | None) -> None:
    (job,) = Job.plan(model, tmp_path / "eight.tflite", weights, "float32")
    assert job.architecture.task == EIGHT
    content, check = job.build()
    assert "from Keras" in check
    session = Session(content, "infer", 1, delegates=False)
    assert session.view("logits").size == len(EIGHT.labels)


def test_weights_of_another_model_are_refused(weights: Path, tmp_path: Path) -> None:
    (job,) = Job.plan("lstm", tmp_path / "eight.tflite", weights, "float32")
    with pytest.raises(WeightsError, match="does not hold lstm weights"):
        job.build()


@pytest.mark.parametrize("option", [("--labels", "a,b"), ("--front-end", "mfcc40")])
def test_another_task_beside_weights_is_no_silent_option(
    weights: Path, tmp_path: Path, option: tuple[str, str]
) -> None:
    out = tmp_path / "eight.tflite"
    given = ["--inference", "--weights", str(weights), "--out", str(out), *option]
    result = CliRunner().invoke(app, ["export-tflite", *given])
    assert isinstance(result.exception, SettingsError)
    assert "say themselves what they recognise" in result.exception.problem
    assert not out.exists()
