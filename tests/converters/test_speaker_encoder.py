"""Speaker encoders made of published weights: the same of either layout, else one sentence."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from typer.testing import CliRunner

from converters.cli import app
from converters.encoders.speakers import import_speaker_encoder
from shared.encoders.encoder import file_digest
from shared.encoders.speaker_encoder import read_speaker_encoder
from shared.errors import SettingsError, WeightsError
from shared.front_ends import front_end_named
from shared.model_notes.model_card import card_of
from shared.storage.tensor_file import TensorFile, write_tensors
from tests.converters.layouts import Tensors, write_resemblyzer
from tests.converters.test_encoders import Evil
from tests.shared.encoders.speakers import UNITS, WIDTH, small_speakers


@pytest.fixture(params=[True, False], ids=["before-1.6", "archive"])
def published(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    path = tmp_path / "pretrained.pt"
    write_resemblyzer(path, small_speakers(), monkeypatch, old=request.param)
    return path


def test_either_layout_gives_the_same_file_with_a_card(published: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        import_speaker_encoder(published, "1,3").write(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read, state = read_speaker_encoder(tmp_path / "one"), small_speakers()
    assert (read.width, read.units, read.layers, read.pool) == (WIDTH, UNITS, 3, (1, 3))
    assert read.features == 4 * WIDTH
    assert read.origin["source_sha256"] == file_digest(published)
    assert read.origin["licence"] == "Apache-2.0"
    np.testing.assert_array_equal(read.tensors["lstm1/kernel"], state["lstm.weight_ih_l0"].T)
    biases = state["lstm.bias_ih_l2"].astype(np.float64) + state["lstm.bias_hh_l2"]
    np.testing.assert_array_equal(read.tensors["lstm3/bias"], biases.astype(np.float32))
    card = card_of(TensorFile(tmp_path / "one").metadata)
    assert card is not None
    assert "VoxCeleb" in card.teachers


def test_the_command_tells_what_the_file_gives(published: Path, tmp_path: Path) -> None:
    out = tmp_path / "ge2e.safetensors"
    given = ["import-speaker-encoder", str(published), "--output"]
    result = CliRunner().invoke(app, [*given, str(out)])
    assert result.exit_code == 0, result.output
    assert f"{4 * WIDTH} numbers an utterance" in result.stdout
    other = CliRunner().invoke(app, [*given, str(tmp_path / "ge2e.bin")])
    assert isinstance(other.exception, SettingsError)
    assert "would be no front end" in other.exception.problem
    assert not (tmp_path / "ge2e.bin").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_weights_cut_short_are_one_sentence(published: Path, share: float) -> None:
    content = published.read_bytes()
    published.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match="holds no speaker encoder that can be read") as caught:
        import_speaker_encoder(published, "1,2")
    assert str(published) in caught.value.problem


@pytest.mark.parametrize("old", [True, False])
def test_no_code_of_a_pickle_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, old: bool
) -> None:
    path, evil = tmp_path / "evil.pt", Evil(tmp_path / "proof")
    write_resemblyzer(path, small_speakers(), monkeypatch, old=old, extra=evil)
    with pytest.raises(WeightsError, match=r"its pickle asks for posix\.mkdir"):
        import_speaker_encoder(path, "1,2")
    assert not (tmp_path / "proof").exists()


def _without(name: str) -> Tensors:
    return {key: value for key, value in small_speakers().items() if key != name}


WIDE = as_strided(np.zeros(0, np.float32), (0, 1 << 40), (1 << 42, 4))


@pytest.mark.parametrize(
    ("tensors", "clause"),
    [
        ({}, "no recurrent layers with a linear one"),
        (_without("linear.weight"), "no recurrent layers with a linear one"),
        (_without("lstm.bias_hh_l1"), "lstm.bias_hh_l1 should have the shape"),
        (
            small_speakers() | {"lstm.weight_ih_l0": np.zeros((48, 80), np.float32)},
            r"lstm.weight_ih_l0 .*\(48, 40\), and it has \(48, 80\)",
        ),
        (
            small_speakers() | {"linear.bias": np.full(UNITS, np.nan, np.float32)},
            "embedding/bias holds values that are not finite",
        ),
        (
            small_speakers() | {"lstm.weight_hh_l0": WIDE},
            "it cannot have 3 layers of 1099511627776",
        ),
    ],
    ids=range(6),
)
def test_another_layout_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensors: Tensors, clause: str
) -> None:
    path = tmp_path / "pretrained.pt"
    write_resemblyzer(path, tensors, monkeypatch)
    with pytest.raises(WeightsError, match=f"no speaker encoder that can be read: .*{clause}"):
        import_speaker_encoder(path, "1,2")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("changed", "clause"),
    [
        (
            {f"lstm.bias_{kind}_l0": np.full(4 * WIDTH, 3e38, np.float32) for kind in ("ih", "hh")},
            "lstm1/bias holds values that are not finite in float32",
        ),
        (
            {"lstm.weight_hh_l0": np.zeros((4, 1025), np.float32)},
            "it cannot have 3 layers of 1025",
        ),
    ],
    ids=["sum", "width"],
)
def test_what_could_not_be_read_again_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: Tensors, clause: str
) -> None:
    path, out = tmp_path / "pretrained.pt", tmp_path / "ge2e.safetensors"
    write_resemblyzer(path, {**small_speakers(), **changed}, monkeypatch)
    out.write_bytes(b"what was there")
    result = CliRunner().invoke(app, ["import-speaker-encoder", str(path), "--output", str(out)])
    assert isinstance(result.exception, WeightsError)
    assert clause in result.exception.problem
    assert out.read_bytes() == b"what was there"


def test_what_is_no_pt_or_of_a_whisper_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no file"):
        import_speaker_encoder(tmp_path / "nothing.pt", "1")
    (tmp_path / "note.txt").write_text("no weights")
    with pytest.raises(WeightsError, match="cut short or damaged"):
        import_speaker_encoder(tmp_path / "note.txt", "1")


@pytest.mark.parametrize("pool", ["4", "2,1", "0", "", "a", "1,1"])
def test_layers_that_are_not_there_are_one_sentence(published: Path, pool: str) -> None:
    with pytest.raises(SettingsError, match="--pool cannot be"):
        import_speaker_encoder(published, pool)


@pytest.mark.parametrize(
    "changed", [{"width": "13"}, {"pool": "4"}, {"layers": "x"}, {"units": ""}]
)
def test_a_damaged_file_is_one_sentence(
    published: Path, tmp_path: Path, changed: dict[str, str]
) -> None:
    path = tmp_path / "ge2e.safetensors"
    encoder = import_speaker_encoder(published, "1")
    encoder.write(path)
    facts = TensorFile(path).metadata
    write_tensors(path, encoder.tensors, {**facts, **changed})
    with pytest.raises(WeightsError, match="damaged speaker encoder"):
        front_end_named(str(path))


def test_the_published_weights_are_read(tmp_path: Path) -> None:
    source = os.environ.get("CHORUS_RESEMBLYZER")
    if source is None:
        pytest.skip("no speaker encoder: name Resemblyzer's pretrained.pt with CHORUS_RESEMBLYZER")
    found = import_speaker_encoder(Path(source), "embedding")
    assert (found.width, found.units, found.layers, found.features) == (256, 256, 3, 256)
    found.write(tmp_path / "ge2e.safetensors")
    assert front_end_named(str(tmp_path / "ge2e.safetensors")).shape.features == 256


def test_the_published_weights_are_not_written_over(published: Path) -> None:
    path = published.rename(published.with_suffix(".safetensors"))
    content = path.read_bytes()
    result = CliRunner().invoke(app, ["import-speaker-encoder", str(path), "--output", str(path)])
    assert isinstance(result.exception, SettingsError)
    assert "which is read, is the same file" in result.exception.problem
    assert path.read_bytes() == content
