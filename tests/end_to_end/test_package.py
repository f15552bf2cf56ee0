"""What an installed package offers is named by options, all of it in one run."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import soundfile

from aggregator.settings import AggregatorSettings
from edge_client.settings import RunSettings
from shared.corpora import load_corpus
from tests.end_to_end.conftest import Command
from tests.installed import environment_with, install

HERE = "tests.end_to_end.package"
OFFERED = {
    "chorus.corpora": {"village": f"{HERE}:VILLAGE"},
    "chorus.front_ends": {"levels": f"{HERE}:LEVELS"},
    "chorus.architectures": {"small": f"{HERE}:SMALL"},
    "chorus.partitions": {"turns": f"{HERE}:turns"},
    "chorus.codecs": {"halves": f"{HERE}:Halves"},
    "chorus.strategies": {"newest": f"{HERE}:Newest"},
}
NAMED = "--corpus village --front-end levels --model small --partition turns --codec halves "
NAMED += "--strategy newest"


@pytest.fixture
def village(tmp_path: Path) -> Path:
    """Write clips of three speakers, named by words for their labels."""
    words = {"angry": "ANGER", "happy": "JOY", "neutral": "neutral", "sad": "Sadness"}
    folder = tmp_path / "clips"
    folder.mkdir()
    clips = load_corpus("synthetic", speakers=3, clips_per_speaker=8).clips
    for number, clip in enumerate(clips):
        name = f"{words[str(clip.label)]}-{clip.speaker}-{number:02}.wav"
        soundfile.write(folder / name, clip.read(), 16_000)
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find what it offers."""
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, monkeypatch, OFFERED)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the Python of an environment that it is installed in by pip."""
    folder = tmp_path_factory.mktemp("installed")
    points = {
        group: {name: where.replace(HERE, "package") for name, where in of.items()}
        for group, of in OFFERED.items()
    }
    return environment_with(folder, Path(__file__).with_name("package.py"), points)


@pytest.mark.parametrize("engine", ["keras", "tflite"])
def test_a_simulation_is_made_of_what_a_package_offers(
    python: Path, village: Path, tmp_path: Path, engine: str
) -> None:
    line = f"simulate {NAMED} --engine {engine} --rounds 1 --folds 3 --clients 2 --out run"
    program = "from edge_client.cli import main; main()"
    made = subprocess.run(
        [python, "-c", program, *line.split(), "--data", village],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "CHORUS_CACHE": str(tmp_path / "cache")},
    )
    assert made.returncode == 0, made.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["task"]["front_end"]["name"] == "levels"
    assert sum(map(sum, result["confusion"])) == 8


@pytest.mark.usefixtures("package")
def test_a_federation_takes_what_a_package_offers() -> None:
    names = {"front_end": "levels", "model": "small", "codecs": "halves", "strategy": "newest"}
    settings = AggregatorSettings.parse({**names, "validation_corpus": "village"})
    assert (settings.task.front_end.name, settings.codecs) == ("levels", ("halves",))
    assert RunSettings.parse({"front_end": "levels", "mic": True}).task == settings.task


@pytest.mark.usefixtures("package")
def test_a_corpus_of_a_package_is_listed_with_ours(edge_client: Command) -> None:
    listed = json.loads(edge_client("corpora", "--json").out)
    assert listed[-1]["name"] == "village"
    assert listed[-1]["obtain"] == "ask us"
    assert "village  -  The village" in edge_client("corpora").out


def test_a_package_that_is_broken_is_no_reason_to_list_nothing(
    edge_client: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"gone": "nowhere:GONE", "village": f"{HERE}:VILLAGE"}
    install(tmp_path, monkeypatch, {"chorus.corpora": points})
    said = " ".join(edge_client("corpora").out.split())
    assert "The corpus gone cannot be imported: ModuleNotFoundError" in said
    assert "village - The village" in said


@pytest.mark.parametrize("option", ["--corpus", "--test-corpus"])
def test_one_s_own_corpus_is_named_by_its_module(
    edge_client: Command, village: Path, option: str
) -> None:
    data = option.replace("corpus", "data")
    line = f"simulate --rounds 1 --folds 3 --clients 2 --out run {option} {HERE}:VILLAGE"
    made = edge_client(*line.split(), data, village)
    assert made.code == 0, made.err


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (f"--corpus {HERE}:GONE", 2, "GONE cannot be imported: AttributeError"),
        (f"--corpus {HERE}:SMALL", 2, "is not a valid corpus: it should be a shared.corpora.Load"),
        (f"--corpus {HERE}:VILLAGE", 10, "needs its files. Name their place with --data PATH"),
        (f"--corpus {HERE}:CARELESS --data clips", 10, "gives clips the label ANGER, which is"),
        ("--test-corpus nowhere:VILLAGE", 2, "nowhere:VILLAGE cannot be imported"),
    ],
)
def test_what_is_no_corpus_is_one_sentence(
    edge_client: Command, village: Path, options: str, code: int, sentence: str
) -> None:
    assert village.is_dir()
    ended = edge_client("simulate", *options.split(), "--out", "run")
    assert ended.code == code
    assert sentence in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
