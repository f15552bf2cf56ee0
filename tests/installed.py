"""A package that offers things by entry points, without an installation."""

from pathlib import Path

import pytest


def offer(folder: Path, patch: pytest.MonkeyPatch, group: str, **points: str) -> None:
    """Let a folder be one of packages, with one that offers so much (``name="module:Thing"``)."""
    info = folder / "offered-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: offered\nVersion: 1.0\n")
    lines = [f"{name} = {where}" for name, where in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    patch.syspath_prepend(str(folder))
