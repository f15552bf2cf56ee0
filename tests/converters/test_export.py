"""The exported files: what they hold, what they compute, and that a wrong one is not written."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from converters import export as exporting
from converters import verification
from converters.cli import app
from converters.export import Job, export
from converters.inspection import inspect_bytes
from converters.verification import keras_logits, keras_step, verify_trainable
from shared.command import progress_console
from shared.encoders.network import Network
from shared.encoders.network_graph import network_file
from shared.errors import ChorusError, SettingsError, WeightsError
from shared.graphs import layers, training_graphs
from shared.graphs.files import SIGNATURES, graph_file, trainable_file
from shared.graphs.inference_graph import Quantize, inference_file
from shared.lengths import shares
from shared.tflite import Session, across, fill_weights
from shared.weights import initial_weights, save_weights
from tests.edge_client.tflite.cases import MODELS, batch, weights

LOADABLE = {
    "ADD": 1,
    "BATCH_MATMUL": 1,
    "CONCATENATION": 1,
    "CONV_2D": 1,
    "DIV": 1,
    "DEQUANTIZE": 3,
    "FULLY_CONNECTED": 3,
    "LOGISTIC": 1,
    "LOG_SOFTMAX": 1,
    "MUL": 1,
    "PAD": 1,
    "RELU": 1,
    "RESHAPE": 1,
    "SLICE": 2,
    "SOFTMAX": 1,
    "SQRT": 1,
    "SUB": 1,
    "STRIDED_SLICE": 1,
    "SUM": 1,
    "TANH": 1,
    "TRANSPOSE": 1,
}
"""The ops our files may use, with the highest version that tflite-runtime 2.14.0 loads."""


@cache
def logits_of_keras(model: str) -> NDArray[np.float32]:
    """Compute them for a batch, once for all files."""
    architecture = MODELS[model]
    features, frames, _ = batch(7, architecture)
    return keras_logits(architecture, weights(architecture), features, frames)


def test_a_file_is_built_once_and_stays_small() -> None:
    files = [
        graph_file(architecture, signature)
        for architecture in map(MODELS.__getitem__, ("conv", "dense", "lstm", "tdnn"))
        for signature in SIGNATURES
    ]
    assert sum(map(len, files)) < 2_000_000
    assert graph_file(MODELS["tdnn"], "infer") is files[-1]


@pytest.mark.parametrize("model", MODELS)
def test_ops_are_built_in_and_old_enough(model: str) -> None:
    architecture = MODELS[model]
    vector = weights(architecture)
    stored: list[Quantize] = ["float32", "float16", "int8"]
    files = [graph_file(architecture, signature) for signature in SIGNATURES]
    for content in (*files, *(inference_file(architecture, vector, q) for q in stored)):
        found = inspect_bytes(content)
        assert found.custom_ops == []
        assert all(op.version <= LOADABLE[op.name] for op in found.ops)


def test_the_file_of_a_network_as_an_encoder_loads_everywhere() -> None:
    architecture = MODELS["tdnn13"]
    wide = np.ones(architecture.features)
    found = inspect_bytes(network_file(Network(architecture, weights(architecture), wide, wide)))
    assert found.custom_ops == []
    assert all(op.version <= LOADABLE[op.name] for op in found.ops)


@pytest.mark.parametrize(
    ("quantize", "tolerance", "share"),
    [("float32", 1e-5, 1.0), ("float16", 5e-3, 0.5), ("int8", 0.1, 0.25)],
)
@pytest.mark.parametrize("model", ["conv", "lstm", "tdnn of another task"])
def test_inference_only_files_compute_what_keras_does(
    model: str, quantize: Quantize, tolerance: float, share: float
) -> None:
    architecture = MODELS[model]
    vector = weights(architecture)
    content = inference_file(architecture, vector, quantize)
    assert len(content) < 4 * share * vector.size + 500_000
    features, frames, _ = batch(7, architecture)
    expected = logits_of_keras(model)
    session = Session(content, "infer", 1, delegates=False)
    counting = shares(architecture, frames)
    for utterance, row, logits in zip(features, counting, expected, strict=True):
        session.view("features")[0] = utterance
        if architecture.pools:
            session.view("shares")[0] = row
        session.run()
        error = np.abs(session.view("logits")[0] - logits).max()
        assert error <= tolerance * max(1, np.abs(expected).max())


def test_export_verifies_writes_and_tells(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["export-tflite", "--model", "conv", "--out", str(tmp_path / "c.tflite"), "--json"]
    )
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert row["file"] == str(tmp_path / "c.tflite")
    assert row["signatures"] == ["train", "train_head", "infer"]
    assert "from Keras" in row["check"]
    assert (tmp_path / "c.tflite").stat().st_size == row["bytes"]
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "c.tflite"), "--json"])
    answer = json.loads(shown.stdout)
    assert set(answer) == {"signatures", "ops", "custom_ops", "bytes"}
    assert {"name", "version", "count"} == set(answer["ops"][0])
    assert sum(op["count"] for op in answer["ops"]) == row["ops"]
    readable = CliRunner().invoke(app, ["inspect", str(tmp_path / "c.tflite")])
    assert "custom ops: none" in readable.stdout


def test_export_takes_labels_and_a_module_s_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layered.py").write_text(
        "from shared.layers import HEAD, Conv1D, Dense, StatisticsPooling\n"
        "SMALL = (Conv1D('a', 4, dilation=2), StatisticsPooling('s'), Dense(HEAD, 4))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    options = ["--model", "layered:SMALL", "--labels", "laughing,crying,shouting"]
    result = CliRunner().invoke(app, ["export-tflite", *options, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    found = inspect_bytes((tmp_path / "layered.SMALL.tflite").read_bytes())
    assert found.signatures["train"]["inputs"]["targets"]["shape"] == [20, 3]
    assert "shares" in found.signatures["infer"]["inputs"]


def test_export_of_weights_finds_their_model(tmp_path: Path) -> None:
    architecture = MODELS["conv"]
    save_weights(tmp_path / "m.safetensors", weights(architecture), architecture)
    options = ["--weights", str(tmp_path / "m.safetensors"), "--quantize", "int8"]
    result = CliRunner().invoke(
        app, ["export-tflite", "--inference", *options, "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    assert list(inspect_bytes((tmp_path / "conv.tflite").read_bytes()).signatures) == ["infer"]


def test_a_wrong_file_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = layers.relu_dropout

    def wrong(*arguments: object) -> object:
        y, activation = real(*arguments)  # type: ignore[arg-type] # passed through as they come
        return y, lambda dy: arguments[0].mul(activation(dy), arguments[0].constant(1.01))  # type: ignore[attr-defined] # the graph

    monkeypatch.setattr(training_graphs, "relu_dropout", wrong)
    out = tmp_path / "conv.tflite"
    out.write_bytes(b"what was there")
    jobs = Job.plan("conv", out, None, "float32")
    with pytest.raises(ChorusError, match=r"gradients \(train\) are off by .* It was not written"):
        export(jobs, progress_console())
    assert out.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(("model", "method"), [("conv", "convolutions"), ("lstm", "recurrent")])
def test_a_wrong_head_alone_is_noticed(
    model: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(training_graphs._Model, method)

    def wrong(self: Any, *arguments: Any) -> Any:
        x = real(self, *arguments)
        return self._g.mul(x, self._g.constant(1.01))

    monkeypatch.setattr(training_graphs._Model, method, wrong)
    architecture = MODELS[model]
    with pytest.raises(ChorusError, match=r"its gradients \(train_head\) are off by"):
        verify_trainable(trainable_file(architecture), architecture)


QUICK = ("head", "mlp", "conv of another task", "tdnn of another task", "tdnn13")


@cache
def trainable(model: str) -> bytes:
    return trainable_file(MODELS[model])


@pytest.mark.parametrize("model", QUICK)
def test_a_right_file_passes(model: str) -> None:
    assert "from Keras" in verify_trainable(trainable(model), MODELS[model])


@pytest.mark.parametrize("wrong", ["a hundredth more", "scrambled"])
@pytest.mark.parametrize("kind", ["kernels", "biases"])
@pytest.mark.parametrize("model", QUICK)
def test_a_file_that_takes_wrong_weights_is_refused(
    model: str, kind: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = across

    def laid_out(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        right = real(tensor)
        if (tensor.ndim == 1) == (kind == "kernels"):
            return right
        return right * np.float32(1.01) if wrong == "a hundredth more" else right[..., ::-1]

    monkeypatch.setattr(verification, "across", laid_out)
    with pytest.raises(ChorusError, match="its logits are off by"):
        verify_trainable(trainable(model), MODELS[model])


@pytest.mark.parametrize("model", QUICK)
def test_a_step_with_wrong_weights_is_refused(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fill_weights
    monkeypatch.setattr(
        verification, "fill_weights", lambda session, given: real(session, given[::-1].copy())
    )
    with pytest.raises(ChorusError, match=r"its gradients \(train\) are off by"):
        verify_trainable(trainable(model), MODELS[model])


def test_keras_and_finite_differences_agree() -> None:
    """The reference itself: Keras' gradient against the loss along one direction."""
    architecture = MODELS["conv"]
    vector = weights(architecture)
    given = batch(7)
    masks = [np.ones(1, np.float32)] * 5
    _, gradient = keras_step(architecture, vector, *given, masks)
    direction = gradient / np.linalg.norm(gradient)
    step = np.float32(1e-2)
    ahead, _ = keras_step(architecture, vector + step * direction, *given, masks)
    behind, _ = keras_step(architecture, vector - step * direction, *given, masks)
    slope = (ahead - behind) / (2 * step)
    assert slope == pytest.approx(float(np.linalg.norm(gradient)), rel=0.05)


@pytest.mark.parametrize(
    ("model", "given", "quantize", "kind"),
    [
        (None, None, "float32", SettingsError),
        ("conv", None, "int8", SettingsError),
        ("all", "m.safetensors", "float32", SettingsError),
        (None, "missing.safetensors", "float32", WeightsError),
    ],
)
def test_options_that_contradict_each_other(
    tmp_path: Path,
    model: str | None,
    given: str | None,
    quantize: Quantize,
    kind: type[ChorusError],
) -> None:
    path = tmp_path / given if given else None
    with pytest.raises(kind):
        Job.plan(model, tmp_path / "out.tflite", path, quantize)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    conv = MODELS["conv"]
    path = tmp_path / "m.safetensors"
    save_weights(path, initial_weights(conv, np.random.default_rng(0)), conv)
    jobs = Job.plan("lstm", tmp_path / "out.tflite", path, "float32")
    with pytest.raises(WeightsError, match="does not hold lstm weights"):
        exporting.export(jobs, progress_console())
    assert not (tmp_path / "out.tflite").exists()


def test_weights_without_inference_are_no_silent_option(tmp_path: Path) -> None:
    arguments = ["export-tflite", "--model", "conv", "--out", str(tmp_path / "c.tflite")]
    result = CliRunner().invoke(app, [*arguments, "--weights", "m.safetensors"])
    assert isinstance(result.exception, SettingsError)


def test_the_weights_are_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, weights(MODELS["conv"]), MODELS["conv"])
    learnt = path.read_bytes()
    options = ["--inference", "--weights", str(path), "--out", str(path)]
    result = CliRunner().invoke(app, ["export-tflite", *options])
    assert isinstance(result.exception, SettingsError)
    assert "which is read, is the same file" in result.exception.problem
    assert path.read_bytes() == learnt
