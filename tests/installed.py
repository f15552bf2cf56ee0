"""A package that offers things by entry points, without an installation."""

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
