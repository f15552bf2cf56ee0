"""Clips in folders: what is found, and what is passed over and why."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from shared.audio import SUFFIXES
from shared.environment import remark_once

_SHOWN: Final = 3
"""Names of a kind that a remark gives; the others are counted."""


def clips_below(folder: Path) -> list[Path]:
    """Find the clips below a folder, by what their names end in, in order of their paths.

    Folders that are links are followed, each folder is read once, and hidden ones are not. A remark
    names and counts what else is there.
    """
    search = _Search(folder)
    search.run()
    remark(f"In {folder} are passed over", search.passed_over)
    return sorted(search.clips)


def remark(beginning: str, kinds: Mapping[str, Iterable[object]]) -> None:
    """Write what is left out to the log, in a sentence, if there is anything.

    Parameters
    ----------
    beginning
        Of the sentence.
    kinds
        Names of what is left out, by why.
    """
    told = [_told(why, [str(name) for name in names]) for why, names in kinds.items()]
    if told:
        remark_once(f"{beginning}: {'; '.join(told)}.")


def _told(why: str, names: list[str]) -> str:
    more = ", …" if len(names) > _SHOWN else ""
    return f"{len(names)} {why} ({', '.join(names[:_SHOWN])}{more})"


class _Search:
    """One search through a folder and those below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._met: set[tuple[int, int]] = set()
        self.clips: list[Path] = []
        self.passed_over: defaultdict[str, list[Path]] = defaultdict(list)

    def run(self) -> None:
        """Look through all of it; no deeper tree than the disk holds ends this."""
        waiting = [self._folder]
        while waiting:
            # The last comes next: in order of their names, each with all that is below it.
            waiting += reversed(self._look(waiting.pop()))

    def _look(self, folder: Path) -> list[Path]:
        """Sort out what is directly in a folder; give the folders in it."""
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in self._met:
                self._pass_over("met before by another path", folder)
                return []
            self._met.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scan:
                found = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            self._pass_over("that cannot be read", folder)
            return []
        return [Path(entry.path) for entry in found if self._is_folder(entry)]

    def _is_folder(self, entry: "os.DirEntry[str]") -> bool:
        """Say whether it is a folder to look through; take in what is a clip, note what is none."""
        path = Path(entry.path)
        sound = path.suffix.lower() in SUFFIXES
        try:
            if entry.name.startswith("."):
                if sound or entry.is_dir(follow_symlinks=False):
                    self._pass_over("hidden", path)
            elif entry.is_dir():
                return True
            elif not entry.is_file():
                kind = "links to nothing" if entry.is_symlink() else "that are no files"
                self._pass_over(kind, path)
            elif sound:
                self.clips.append(path)
            else:
                self._pass_over("of other formats", path)
        except OSError:
            self._pass_over("that cannot be read", path)
        return False

    def _pass_over(self, why: str, path: Path) -> None:
        self.passed_over[why].append(path.relative_to(self._folder))
