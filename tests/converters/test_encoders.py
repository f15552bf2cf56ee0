"""Encoders made of published weights: of every layout the same, of anything else a sentence."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from converters.cli import app
from converters.encoders.importing import import_encoder, parse_pool
from shared.encoders.encoder import file_digest, read_encoder
from shared.errors import SettingsError, WeightsError
from shared.front_ends import TINY_EN, WHISPER
from shared.front_ends.whisper import positions
from tests.converters.layouts import (
    Tensors,
    write_ctranslate2,
    write_openai,
    write_transformers,
)
from tests.shared.encoders.whisper import MELS, WIDTH, small

Write = Callable[[Tensors], Path]


@pytest.fixture(params=["float16", "float32", "openai", "transformers"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Write a Whisper in one of the layouts that keep its values as they are."""

    def written(tensors: Tensors) -> Path:
        if request.param == "openai":
            path = tmp_path / "tiny.pt"
            with pytest.MonkeyPatch.context() as patch:
                write_openai(path, tensors, patch)
        elif request.param == "transformers":
            path = tmp_path / "model.safetensors"
            write_transformers(path, tensors)
        else:
            path = tmp_path / "model.bin"
            write_ctranslate2(path, tensors, request.param)
        return path

    return written


@pytest.mark.parametrize("int8", [True, False], ids=["int8", "float32"])
def test_every_layout_gives_the_same_encoder(write: Write, tmp_path: Path, int8: bool) -> None:  # noqa: FBT001 - a parameter of the test
    path = write(small())
    made = import_encoder(path, int8=int8)
    write_ctranslate2(tmp_path / "other.bin", small())
    other = import_encoder(tmp_path / "other.bin", int8=int8)
    assert (made.mels, made.width, made.heads, made.layers) == (MELS, WIDTH, 2, 2)
    assert made.tensors.keys() == other.tensors.keys()
    for name, tensor in made.tensors.items():
        np.testing.assert_array_equal(tensor, other.tensors[name])
    assert made.origin == {"source_sha256": file_digest(path), "licence": "MIT"}


def test_the_same_weights_give_the_same_file_which_can_be_read(
    write: Write, tmp_path: Path
) -> None:
    path = write(small())
    for name in ("one", "two"):
        import_encoder(path, (1, 3), "mean").write(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = read_encoder(tmp_path / "one")
    assert (read.pool, read.pooling, read.features, read.layers) == ((1, 3), "mean", 2 * WIDTH, 3)
    for name, tensor in import_encoder(path, (1, 3), "mean").tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)


def test_weights_that_ctranslate2_has_rounded_are_near(tmp_path: Path) -> None:
    write_ctranslate2(tmp_path / "model.bin", small(), "int8")
    write_ctranslate2(tmp_path / "whole.bin", small(), "float32")
    made = import_encoder(tmp_path, int8=False)
    whole = import_encoder(tmp_path / "whole.bin", int8=False)
    for name, tensor in made.tensors.items():
        np.testing.assert_allclose(
            tensor, whole.tensors[name], atol=0.05 * np.abs(whole.tensors[name]).max()
        )


def test_rounding_is_half_a_unit_of_a_row_at_most(write: Write) -> None:
    path = write(small())
    whole, made = import_encoder(path, int8=False).tensors, import_encoder(path).tensors
    for name in (name for name in whole if name.endswith("/kernel")):
        scale = made[name.replace("kernel", "scale")].reshape(-1, *[1] * (whole[name].ndim - 1))
        assert made[name].dtype == np.int8
        assert (np.abs(made[name] * scale - whole[name]) <= 0.501 * scale).all()


def test_the_encoder_in_the_package_is_made_of_the_published_weights(tmp_path: Path) -> None:
    source = os.environ.get("CHORUS_WHISPER")
    if source is None:
        pytest.skip("no published weights: name tiny.en's folder with CHORUS_WHISPER")
    import_encoder(Path(source)).write(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == TINY_EN.read_bytes()


def test_the_encoder_in_the_package_is_the_one_of_the_task() -> None:
    assert file_digest(TINY_EN) == WHISPER.weights
    assert read_encoder(TINY_EN).features == WHISPER.features


class Evil:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_no_code_of_a_pickle_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evil.pt"
    write_openai(path, small(), monkeypatch, Evil(tmp_path / "proof"))
    with pytest.raises(WeightsError, match=r"its pickle asks for posix\.mkdir"):
        import_encoder(path)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_weights_cut_short_are_one_sentence(write: Write, share: float) -> None:
    path = write(small())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError) as caught:
        import_encoder(path)
    assert str(path) in caught.value.problem


def _without(name: str) -> Tensors:
    return {key: value for key, value in small().items() if key != name}


QUERY = {part: small()[f"blocks.0.attn.query.{part}"] for part in ("weight", "bias")}

NAN = np.full((WIDTH, WIDTH), np.nan, np.float32)


@pytest.mark.parametrize(
    ("tensors", "clause"),
    [
        ({}, "it has no encoder"),
        (_without("positional_embedding"), "it has no encoder"),
        (_without("blocks.1.mlp.2.weight"), r"blocks.1.mlp.2.weight should have the shape"),
        (small() | {"conv2.bias": np.zeros(7, np.float32)}, r"conv2.bias .* it has \(7,\)"),
        (small() | {"blocks.0.attn.out.weight": NAN}, "values that are not finite"),
        (
            small() | {"positional_embedding": np.ones((1500, WIDTH), np.float32)},
            "its positions are not those of a Whisper",
        ),
        (
            small() | {"positional_embedding": np.ones((100, WIDTH), np.float32)},
            r"its width is 128, its positions \(100, 128\)",
        ),
    ],
    ids=range(7),
)
def test_what_is_no_whisper_is_one_sentence(tmp_path: Path, tensors: Tensors, clause: str) -> None:
    write_transformers(tmp_path / "model.safetensors", tensors)
    with pytest.raises(WeightsError, match=f"holds no Whisper that can be read: .*{clause}"):
        import_encoder(tmp_path)


def test_a_fused_matrix_that_is_not_three_is_one_sentence(tmp_path: Path) -> None:
    cut = {f"blocks.0.attn.query.{part}": value[:-1] for part, value in QUERY.items()}
    write_ctranslate2(tmp_path / "model.bin", small() | cut)
    with pytest.raises(WeightsError, match="is not three matrices"):
        import_encoder(tmp_path)


def test_more_layers_than_there_are_is_one_sentence(write: Write) -> None:
    with pytest.raises(SettingsError, match="has 3 layers, not the 4 asked for"):
        import_encoder(write(small()), (3, 4))


def test_folders_and_files_without_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"neither a model.bin nor a model.safetensors"):
        import_encoder(tmp_path)
    with pytest.raises(WeightsError, match="There is no file"):
        import_encoder(tmp_path / "nothing.pt")
    (tmp_path / "note.txt").write_text("no weights")
    with pytest.raises(WeightsError, match="none of the three kinds of files"):
        import_encoder(tmp_path / "note.txt")


def test_which_layers_are_pooled() -> None:
    assert parse_pool(2, None) == (1, 2)
    assert parse_pool(1, None) == (1,)
    assert parse_pool(4, None) == (3, 4)
    assert parse_pool(4, "2,4") == (2, 4)
    for pool in ("2,1", "0,4", "1,1", "a", "", "33"):
        with pytest.raises(SettingsError, match="--pool cannot be"):
            parse_pool(4, pool)
    for pool in ("a,b", "", "1,,2", "1.5", "-1"):
        with pytest.raises(SettingsError, match="give numbers of layers, such as 1,2"):
            parse_pool(4, pool)
    with pytest.raises(SettingsError, match="does not use the last"):
        parse_pool(4, "1,2")


HUGE = np.full(WIDTH, 3e38, np.float32)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kept", ["--int8", "--float32"])
@pytest.mark.parametrize(
    ("name", "of"), [("attn_ln.weight", "kernel"), ("attn_ln.bias", "bias")], ids=str
)
def test_what_is_not_finite_once_it_is_folded_replaces_nothing(
    tmp_path: Path, kept: str, name: str, of: str
) -> None:
    large = {key: 1e6 * value for key, value in small().items() if "attn.query.weight" in key}
    write_transformers(
        tmp_path / "whisper.safetensors", small() | large | {f"blocks.0.{name}": HUGE}
    )
    out = tmp_path / "mine.safetensors"
    out.write_bytes(b"what was there")
    arguments = ["import-encoder", str(tmp_path / "whisper.safetensors"), "--output", str(out)]
    result = CliRunner().invoke(app, [*arguments, kept])
    assert isinstance(result.exception, WeightsError)
    clause = f"layer1/query/{of} holds values that are not finite in float32"
    assert clause in result.exception.problem
    assert out.read_bytes() == b"what was there"
    assert not result.stderr


def test_a_wider_encoder_than_is_read_replaces_nothing(tmp_path: Path) -> None:
    wide = {
        "conv1.weight": np.zeros((1344, MELS, 3), np.float32),
        "positional_embedding": positions(1500, 1344),
    }
    write_transformers(tmp_path / "model.safetensors", wide)
    with pytest.raises(WeightsError, match="no Whisper has a width of 1344"):
        import_encoder(tmp_path)


@pytest.mark.parametrize("name", ["mine.safetensors", "."])
def test_the_whisper_is_not_written_over(tmp_path: Path, name: str) -> None:
    there = tmp_path / ("model.safetensors" if name == "." else name)
    write_transformers(there, small())
    published = there.read_bytes()
    arguments = ["import-encoder", str(tmp_path / name), "--output", str(there)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SettingsError)
    assert "which is read, is the same file" in result.exception.problem
    assert there.read_bytes() == published
