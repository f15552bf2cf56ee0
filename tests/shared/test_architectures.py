"""The models as data, and those of one's own."""

from pathlib import Path

import pytest

from shared.architectures import MODELS, Architecture, architecture_of
from shared.errors import SettingsError
from shared.front_ends import WHISPER
from shared.layers import HEAD, Conv1D, Dense, Layer, check_hidden
from shared.task import DEFAULT_TASK, FrontEndShape, Task


@pytest.mark.parametrize(
    ("name", "parameters"), [("dense", 26_008_068), ("conv", 1_832_004), ("lstm", 3_484_164)]
)
def test_they_have_the_paper_s_numbers_of_parameters(name: str, parameters: int) -> None:
    architecture = architecture_of(name, DEFAULT_TASK)
    assert architecture.name == name
    assert architecture.parameters == parameters


@pytest.mark.parametrize(
    "architecture", [architecture_of(name, DEFAULT_TASK) for name in MODELS], ids=list(MODELS)
)
def test_the_manifest_fills_the_vector_without_gaps(architecture: Architecture) -> None:
    offset = 0
    for spec in architecture.manifest:
        assert spec.where == slice(offset, offset + spec.size)
        assert spec.dtype == "float32"
        offset += spec.size
    assert offset == architecture.parameters
    assert len({spec.name for spec in architecture.manifest}) == len(architecture.manifest)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "head"])
def test_the_head_is_the_last_two_layers(name: str) -> None:
    architecture = architecture_of(name, DEFAULT_TASK)
    head = [spec for spec in architecture.manifest if spec.offset >= architecture.head_offset]
    assert [spec.name for spec in head] == [
        f"{HEAD}/kernel",
        f"{HEAD}/bias",
        "logits/kernel",
        "logits/bias",
    ]
    assert head[-1].shape == (4,)


def test_softmax_regression_is_all_head() -> None:
    architecture = architecture_of("head", Task(DEFAULT_TASK.labels, WHISPER))
    assert [spec.name for spec in architecture.manifest] == ["logits/kernel", "logits/bias"]
    assert architecture.parameters == 6_148
    assert architecture.head_offset == 0


def test_a_perceptron_has_a_hidden_layer_before_its_logits() -> None:
    architecture = architecture_of("mlp", Task(DEFAULT_TASK.labels, WHISPER))
    shapes = {spec.name: spec.shape for spec in architecture.manifest}
    assert shapes[f"{HEAD}/kernel"] == (1536, 256)
    assert shapes["logits/kernel"] == (256, 4)
    assert architecture.parameters == 394_500


def test_the_convolutional_model_s_shapes() -> None:
    shapes = {spec.name: spec.shape for spec in architecture_of("conv", DEFAULT_TASK).manifest}
    assert shapes["conv1/kernel"] == (3, 34, 512)
    assert shapes["conv4/kernel"] == (3, 128, 64)
    assert shapes[f"{HEAD}/kernel"] == (92 * 64, 256)


def test_the_recurrent_model_s_shapes() -> None:
    shapes = {spec.name: spec.shape for spec in architecture_of("lstm", DEFAULT_TASK).manifest}
    assert shapes["lstm1/kernel"] == (34, 2048)
    assert shapes["lstm2/recurrent_kernel"] == (512, 2048)
    assert shapes[f"{HEAD}/kernel"] == (512, 512)


VARYING = Task(DEFAULT_TASK.labels, FrontEndShape("mfcc40", 1, 1000, 40, variable=True))


def test_a_tdnn_takes_utterances_of_any_length() -> None:
    manifest = architecture_of("tdnn", VARYING).manifest
    assert architecture_of("tdnn", VARYING).at(150).manifest == manifest
    shapes = {spec.name: spec.shape for spec in manifest}
    assert shapes["frame1/kernel"] == (5, 40, 128)
    assert shapes[f"{HEAD}/kernel"] == (2 * 128, 128)


def test_a_tdnn_of_13_layers_embeds_in_the_twelfth() -> None:
    architecture = architecture_of("tdnn13", VARYING)
    layers = list(dict.fromkeys(spec.layer for spec in architecture.manifest))
    assert len(layers) == 13
    assert layers[11:] == [HEAD, "logits"]
    assert (architecture.reach, architecture.stride) == (49, 4)
    assert [architecture.behind(frames) for frames in (49, 52, 53, 1000)] == [1, 1, 2, 238]
    assert architecture.parameters <= 1_500_000


@pytest.mark.parametrize(
    ("layers", "wrong"),
    [
        ((Conv1D("a", 8), Conv1D("b", 8, stride=2)), "no layer but the first should have a stride"),
        ((Conv1D("a", 8, dilation=2, stride=2),), "a should not have a stride and a dilation"),
        ((Conv1D("a", 8, stride=0),), "the stride of a should be a number above zero"),
    ],
)
def test_only_the_first_layer_has_a_stride(layers: tuple[Layer, ...], wrong: str) -> None:
    with pytest.raises(TypeError, match=wrong):
        check_hidden((*layers, Dense(HEAD, 4)))


@pytest.mark.parametrize("name", ["dense", "conv", "lstm"])
def test_models_of_one_length_refuse_others(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        architecture_of(name, VARYING)
    assert caught.value.problem == f"{name} needs utterances of one length; mfcc40's vary."
    assert caught.value.remedy == "Use the model tdnn."


def test_utterances_must_be_longer_than_the_kernels() -> None:
    short = Task(DEFAULT_TASK.labels, FrontEndShape("short", 1, 14, 5))
    with pytest.raises(SettingsError, match="tdnn needs utterances of at least 15 frames"):
        architecture_of("tdnn", short)


def test_a_program_adds_a_model_and_a_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layered_here.py").write_text(
        "from shared.layers import HEAD, Dense\nLAYERS = (Dense(HEAD, 2),)\nWRONG = ()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(MODELS, "_own", dict(MODELS._own))
    MODELS.add("small", (Dense(HEAD, 2),))
    assert architecture_of("small", DEFAULT_TASK).parameters == 3400 * 2 + 2 + 2 * 4 + 4
    with pytest.raises(SettingsError, match="There is no model layered_here:LAYERS"):
        architecture_of("layered_here:LAYERS", DEFAULT_TASK)  # a file or a message imports nothing
    MODELS.get("layered_here:LAYERS")  # an option does
    assert architecture_of("layered_here:LAYERS", DEFAULT_TASK).layers[0] == Dense(HEAD, 2)
    with pytest.raises(
        SettingsError, match="layered_here:WRONG is not a valid model: its last layer should be"
    ):
        MODELS.get("layered_here:WRONG")
