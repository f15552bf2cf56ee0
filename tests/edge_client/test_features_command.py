import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner, Result

from edge_client.commands.features import features
from shared.audio import RATE
from shared.errors import AudioError, StorageError
from shared.front_ends.paper34 import clip_features

app = typer.Typer()
app.command()(features)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    folder = tmp_path / "clips [1]"
    (folder / "deeper").mkdir(parents=True)
    soundfile.write(folder / "b.wav", random.uniform(-1, 1, 2 * RATE), RATE)
    soundfile.write(folder / "deeper" / "a.flac", random.uniform(-1, 1, (48_000, 2)), 48_000)
    soundfile.write(folder / "short.wav", random.uniform(-1, 1, 160), RATE)
    (folder / "broken.wav").write_bytes(b"not a clip")
    (folder / "notes.txt").write_text("not audio")
    return folder


def test_file_holds_the_features_of_what_is_usable(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "features.npz"
    result = run(folder, folder / "b.wav", tmp_path / "missing.wav", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"2 clips, 28 frames, 3 skipped: {out}\n"
    for name in ("short.wav", "broken.wav", "missing.wav"):
        assert name in result.stderr
    assert "clips [1]" in result.stderr
    with np.load(out) as file:
        assert file["features"].shape == (2, 100, 34)
        assert file["features"].dtype == np.float32
        assert file["frames"].dtype == np.int32
        assert file["frames"].tolist() == [19, 9]
        assert file["paths"].tolist() == [str(folder / "b.wav"), str(folder / "deeper/a.flac")]
        for path, padded, count in zip(
            file["paths"], file["features"], file["frames"], strict=True
        ):
            np.testing.assert_array_equal(padded[:count], clip_features(Path(path)))
            assert not padded[count:].any()


def test_answer_as_json(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    result = run(folder, "--out", out, "--json")
    answer = {"clips": 2, "frames": 28, "skipped": 2, "out": str(out)}
    assert json.loads(result.stdout) == answer
    assert out.is_file()


def test_nothing_usable_is_an_error_and_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.npz"
    out.write_text("old")
    result = run(folder / "short.wav", folder / "broken.wav", "--out", out)
    assert isinstance(result.exception, AudioError)
    assert result.exception.problem == "None of 2 clips can be used."
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / "empty", "--out", out)
    assert isinstance(result.exception, AudioError)
    assert result.exception.problem == "There are no audio files."
    assert out.read_text() == "old"


def test_place_that_cannot_be_written_is_named(folder: Path) -> None:
    result = run(folder, "--out", folder / "notes.txt" / "features.npz")
    assert isinstance(result.exception, StorageError)


def test_help_has_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert "--json" in result.stdout
