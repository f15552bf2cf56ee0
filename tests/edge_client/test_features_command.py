import gc
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner, Result

from edge_client.commands.features import features
from shared.audio import RATE
from shared.errors import AudioError, SettingsError, StorageError
from shared.front_ends import FRONT_ENDS
from shared.front_ends.clips import clip_features
from tests.disk import room_for

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
            np.testing.assert_array_equal(
                padded[:count], clip_features(Path(path), FRONT_ENDS.get("paper34"))
            )
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


def test_mfcc40_are_as_long_as_the_longest_clip(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.npz"
    result = run(folder, "--out", out, "--front-end", "mfcc40")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"2 clips, 302 frames, 2 skipped: {out}\n"
    with np.load(out) as file:
        assert file["features"].shape == (2, 250, 40)
        assert file["frames"].tolist() == [201, 101]
        assert str(file["front_end"]) == "mfcc40 1"
        for path, padded, count in zip(
            file["paths"], file["features"], file["frames"], strict=True
        ):
            own = clip_features(Path(path), FRONT_ENDS.get("mfcc40"))
            np.testing.assert_array_equal(padded[:count], own)


def test_a_front_end_of_one_s_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loudness_of_mine.py").write_text(
        "import numpy\n"
        "from shared.front_ends import FrontEnd\n"
        "from shared.task import FrontEndShape\n"
        "def levels(samples):\n"
        "    return numpy.abs(samples[:1600]).reshape(-1, 400)\n"
        "LEVELS = FrontEnd(FrontEndShape('levels', 3, 4, 400), 0.025, levels)\n"
        "WRONG = FrontEnd(FrontEndShape('wrong', 3, 4, 401), 0.025, levels)\n"
    )
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "features.npz"
    result = run(folder / "b.wav", "--out", out, "--front-end", "loudness_of_mine:LEVELS")
    assert result.exit_code == 0, result.output
    with np.load(out) as file:
        assert file["features"].shape == (1, 4, 400)
        assert str(file["front_end"]) == "levels 3"
    result = run(folder / "b.wav", "--out", out, "--front-end", "loudness_of_mine:WRONG")
    assert isinstance(result.exception, SettingsError)
    assert result.exception.problem == (
        "The front end wrong gives features of shape (4, 400) instead of (1 to 4, 401)."
    )
    result = run(folder / "b.wav", "--out", out, "--front-end", "unheard")
    assert isinstance(result.exception, SettingsError)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.npz"
    with room_for(4096):
        kind = type(run(folder, "--out", out).exception)
    gc.collect()  # NumPy must have nothing left to tidy up
    assert kind is StorageError
    assert not out.exists()


def test_a_clip_is_not_written_over(folder: Path) -> None:
    clip = folder / "deeper" / "a.flac"
    sound = clip.read_bytes()
    result = run(folder, "--out", clip)
    assert isinstance(result.exception, SettingsError)
    assert "which is read, is the same file" in result.exception.problem
    assert clip.read_bytes() == sound
