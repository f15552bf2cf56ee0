"""A disk that is small, or full."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond a size: a write gives what there is room for."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def mounted(disk: Path, bounds: str) -> Iterator[Path]:
    """Mount a small disk, with options of tmpfs as ``size=1m``; only root may."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", bounds, "tmpfs", str(disk)]
    mounts = not os.geteuid() and shutil.which("mount")
    if not mounts or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
