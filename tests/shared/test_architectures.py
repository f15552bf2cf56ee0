"""The three models as data."""

import pytest

from shared.architectures import ARCHITECTURES, HEAD, Architecture


@pytest.mark.parametrize(
    ("name", "parameters"), [("dense", 26_008_068), ("conv", 1_832_004), ("lstm", 3_484_164)]
)
def test_they_have_the_paper_s_numbers_of_parameters(name: str, parameters: int) -> None:
    architecture = {str(key): value for key, value in ARCHITECTURES.items()}[name]
    assert architecture.name == name
    assert architecture.parameters == parameters


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_the_manifest_fills_the_vector_without_gaps(architecture: Architecture) -> None:
    offset = 0
    for spec in architecture.manifest:
        assert spec.where == slice(offset, offset + spec.size)
        assert spec.dtype == "float32"
        offset += spec.size
    assert offset == architecture.parameters
    assert len({spec.name for spec in architecture.manifest}) == len(architecture.manifest)


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_the_head_is_the_last_two_layers(architecture: Architecture) -> None:
    head = [spec for spec in architecture.manifest if spec.offset >= architecture.head_offset]
    assert [spec.name for spec in head] == [
        f"{HEAD}/kernel",
        f"{HEAD}/bias",
        "logits/kernel",
        "logits/bias",
    ]
    assert head[-1].shape == (4,)


def test_the_convolutional_model_s_shapes() -> None:
    shapes = {spec.name: spec.shape for spec in ARCHITECTURES["conv"].manifest}
    assert shapes["conv1/kernel"] == (3, 34, 512)
    assert shapes["conv4/kernel"] == (3, 128, 64)
    assert shapes[f"{HEAD}/kernel"] == (92 * 64, 256)


def test_the_recurrent_model_s_shapes() -> None:
    shapes = {spec.name: spec.shape for spec in ARCHITECTURES["lstm"].manifest}
    assert shapes["lstm1/kernel"] == (34, 2048)
    assert shapes["lstm2/recurrent_kernel"] == (512, 2048)
    assert shapes[f"{HEAD}/kernel"] == (512, 512)
