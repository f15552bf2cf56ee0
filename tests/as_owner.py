"""Real commands of root in somebody else's folder, which may not import as whom it belongs to."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

OWNER: Final = 54_321
"""A user of the machine, without a name."""

_GUARD: Final = """
import os, sys
from {command}.cli import main

def refuse(event, given):
    if event == "import" and os.geteuid():
        print("as the folder's owner it imports", given[0], file=sys.stderr)
        os._exit(99)

sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
main()
"""


@contextmanager
def reachable() -> Iterator[Path]:
    """Give a folder that every user can reach: those of pytest are for their owner alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def give(*paths: Path) -> None:
    """Give files and folders, or links, to the owner."""
    for path in paths:
        os.chown(path, OWNER, OWNER, follow_symlinks=False)


def command(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command in a process of its own; it ends with 99 if it imports as the owner.

    Python may lie where only root may look, as in root's home.
    """
    line = [sys.executable, "-c", _GUARD.format(command=str(words[0]).replace("-", "_"))]
    return subprocess.run(
        [*line, *map(str, words)], capture_output=True, text=True, check=False, timeout=120
    )
