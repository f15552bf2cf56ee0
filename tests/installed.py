"""A package that offers things by entry points: installed by pip, or as if it were."""

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest


def offer(folder: Path, patch: pytest.MonkeyPatch, group: str, **points: str) -> None:
    """Let a folder be one of packages, with one that offers so much (``name="module:Thing"``)."""
    install(folder, patch, {group: points})


def install(
    folder: Path, patch: pytest.MonkeyPatch, groups: Mapping[str, Mapping[str, str]]
) -> None:
    """Let a folder be one of packages, with one that offers things to several groups."""
    info = folder / "offered-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: offered\nVersion: 1.0\n")
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    patch.syspath_prepend(str(folder))


def environment_with(folder: Path, module: Path, groups: Mapping[str, Mapping[str, str]]) -> Path:
    """Make an environment on top of this one, and install a package of one module there by pip.

    Returns
    -------
    Path
        Its Python.
    """
    source = folder / "source"
    source.mkdir()
    shutil.copy(module, source)
    head = f"""
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "{module.stem}"
        version = "1.0"
        [tool.hatch.build.targets.wheel]
        only-include = ["{module.name}"]
    """
    lines = [line.strip() for line in head.splitlines()]
    for group, points in groups.items():
        lines.append(f'[project.entry-points."{group}"]')
        # A JSON text is the same in TOML.
        lines += [f"{name} = {json.dumps(where)}" for name, where in points.items()]
    (source / "pyproject.toml").write_text("\n".join(lines))

    layer = folder / "layer"
    _run(sys.executable, "-m", "venv", "--without-pip", layer)
    python = layer / "bin" / "python"
    paths = {"base": str(layer), "platbase": str(layer)}
    below = [str(Path(__file__).parents[1]), *filter(_is_packages, sys.path)]
    Path(sysconfig.get_path("purelib", vars=paths), "below.pth").write_text("\n".join(below))
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    _run(sys.executable, "-m", "pip", "--python", python, "install", *offline, source)
    return python


def _is_packages(entry: str) -> bool:
    return Path(entry).name in ("site-packages", "dist-packages")


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
