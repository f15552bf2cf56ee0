"""The wheel, as it is built and installed: in fresh environments, with what a package index has."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.corpora import load_corpus
from shared.starter import STARTER_TASK
from tests.deploy.page import lines_of, part, recipe
from tests.deploy.test_services import FIRST, files

__all__ = ["files"]

ROOT = Path(__file__).parents[2]
PACKAGES = ("aggregator", "converters", "edge_client", "shared")
MINUTES = 60.0
OTHER = "This is another build."
VERSIONS = ("3.11", "3.12")
"""Of Python: the device's, and the first one with the successor of the TFLite runtime."""


def run(*words: str | Path, folder: Path, minutes: float = 10) -> str:
    """Run a command as somebody does who has nothing else of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}
    done = subprocess.run(
        words,
        cwd=folder,
        env={**kept, "CHORUS_CACHE": str(folder), "COLUMNS": "200", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=minutes * MINUTES,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it, once for all."""
    folder = tmp_path_factory.mktemp("dist")
    index = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "hatchling"]
    if subprocess.run(index, cwd=folder, check=False, capture_output=True).returncode:
        pytest.skip("no package index can be reached")
    said = run(ROOT / "scripts" / "wheel", folder / "made", folder=folder)
    (made,) = (folder / "made").iterdir()
    assert said.strip() == str(made)
    return made


def python_of(version: str) -> Path | None:
    """Find an interpreter of a version, if there is one."""
    known = [
        Path(sys.executable).resolve(),
        *Path.home().glob(f".pyenv/versions/{version}.*/bin/python"),
    ]
    known += filter(None, [Path(shutil.which(f"python{version}") or "")])
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in filter(Path.is_file, known):
        said = subprocess.run([path, "-c", asked], capture_output=True, text=True, check=False)
        if said.stdout.strip() == version:
            return path
    return None


def another_build(wheel: Path, folder: Path) -> Path:
    """Make a wheel of the same version, with other contents."""
    folder.mkdir()
    made = folder / wheel.name
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(made, "w") as after:
        for entry in before.infolist():
            content = before.read(entry)
            if entry.filename == "aggregator/__init__.py":
                content += f"\nprint({OTHER!r})\n".encode()
            after.writestr(entry, content)
    return made


def test_all_of_the_packages_is_in_it(wheel: Path) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert inside == ours
    for model in ("shared/starter/starter.safetensors", "shared/encoders/tiny-en.safetensors"):
        assert model in inside


@pytest.mark.parametrize("version", VERSIONS)
def test_in_a_fresh_environment_a_device_recognises_and_a_server_answers(
    wheel: Path, tmp_path: Path, version: str
) -> None:
    python = python_of(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    # With the pip of this environment: one in each would only be unpacked.
    run(python, "-m", "venv", "--without-pip", tmp_path / "chorus", folder=tmp_path)
    bin_ = tmp_path / "chorus" / "bin"
    pip = (sys.executable, "-m", "pip", "--python", bin_ / "python")
    # Compiling all that is installed would take longer than everything else here.
    quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
    run(*pip, "install", *quiet, f"{wheel}[server]", folder=tmp_path, minutes=20)
    run(*pip, "check", folder=tmp_path)
    clip = load_corpus("synthetic", speakers=3, clips_per_speaker=8).clips[0].read()
    silence = np.zeros(16_000, np.float32)
    soundfile.write(tmp_path / "heard.wav", np.concatenate([silence, clip, silence]), 16_000)
    line = "run --wav heard.wav --fast --headless --offline --state device"
    said = run(bin_ / "edge-client", *line.split(), folder=tmp_path)
    assert json.loads(said.splitlines()[0])["emotion"] in STARTER_TASK.names
    assert "simulate" in run(bin_ / "edge-client", "--help", folder=tmp_path)
    assert "serve" in run(bin_ / "aggregator", "--help", folder=tmp_path)
    if version == VERSIONS[0]:
        another = another_build(wheel, tmp_path / "dist")
        for told in recipe("10. Upgrade", "pip"):
            words = [re.sub(r"(\$\(ls )?dist/[^)\[]*\)?", str(another), word) for word in told]
            run(*pip, *words, *quiet, folder=tmp_path)
        assert OTHER in run(bin_ / "aggregator", "--help", folder=tmp_path)


def test_the_device_script_takes_the_wheel_that_lies_beside_it(files: Path, tmp_path: Path) -> None:
    deploy = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", deploy)
    words = [str(deploy / "install-device.sh"), *FIRST]
    made = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert "run `make wheel`" in made.stderr
    dist = tmp_path / "dist"
    dist.mkdir()
    name = "chorus_edge-0.9.0-py3-none-any.whl"
    for place in (dist, deploy):
        (place / name).touch()
        made = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        installed = [line for line in made.stdout.splitlines() if "pip install" in line]
        assert len(installed) == 2, "the second is for another build of the same version"
        for line in installed:
            assert line.endswith(name)
        (place / name).unlink()


@pytest.mark.parametrize("places", [("dist", "deploy"), ("deploy", "deploy"), ("dist", "dist")])
def test_the_device_script_chooses_no_wheel_of_several(
    files: Path, tmp_path: Path, places: tuple[str, str]
) -> None:
    """Of names neither the first nor the last is the newest."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / "dist").mkdir()
    versions = [f"chorus_edge-{version}-py3-none-any.whl" for version in ("0.9.0", "0.10.0")]
    wheels = [tmp_path / place / name for place, name in zip(places, versions, strict=True)]
    for wheel in wheels:
        wheel.touch()
    words = [str(tmp_path / "deploy" / "install-device.sh"), *FIRST]
    made = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout) == (2, "")
    for name in versions:
        assert name in made.stderr
    assert "--package" in made.stderr
    words += ["--package", str(wheels[1])]
    made = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert str(wheels[1]) in made.stdout


def test_an_upgrade_removes_the_wheel_of_before() -> None:
    first, second, *_ = lines_of(part("10. Upgrade"))
    assert first == "rm -f dist/chorus_edge-*.whl"
    assert " install " in second
