"""How far a secure round is, read from its journal beside the process that writes it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aggregator.secure.journal import ENTRY_HEAD
from shared.secure.terms import Stage

ASKED_FOR: Final = {
    Stage.KEYS: "keys",
    Stage.SHARES: "shares of their secrets",
    Stage.MASKED: "masked updates",
    Stage.CONSENT: "a signature over whose updates are in the sum",
    Stage.UNMASKING: "what takes the masks off the sum",
}
"""What devices are asked for at each stage."""

_STAGES: Final = tuple(ASKED_FOR)
_NAMED: Final = 5
_LONGEST_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an open round is.

    Attributes
    ----------
    stage
        What is waited for.
    missing
        The devices that have not answered at this stage, sorted.
    """

    stage: Stage
    missing: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The same in words."""
        place = f"Stage {_STAGES.index(self.stage) + 1} of {len(_STAGES)}"
        count = len(self.missing)
        named = ", ".join(self.missing[:_NAMED])
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        return f"{place}: it asks for {ASKED_FOR[self.stage]}; missing: {named or 'nobody'}{more}."


def progress_of(path: Path) -> Progress | None:
    """Say where the round of a journal is; ``None`` if there is none, or its stages are over.

    Only names are read, not what devices have said, and nothing is checked: it is to be shown.
    """
    speakers: frozenset[str] = frozenset()
    heard: set[str] = set()
    stages = iter((*_STAGES, None))
    stage: Stage | None = None
    try:
        with path.open("rb") as file:
            for name, own in _entries(file):
                if name:
                    heard.add(name)
                    continue
                found = json.loads(own)
                speakers = frozenset(found["there"] if "there" in found else found["members"])
                stage, heard = next(stages, None), set()
    except (OSError, ValueError, TypeError, KeyError):
        return None  # it is gone, or who goes on with it says what is wrong
    return Progress(stage, tuple(sorted(speakers - heard))) if stage else None


def _entries(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Give each entry's name, and of the aggregator's own what they say."""
    size = file.seek(0, 2)
    at = file.seek(0)
    while at + ENTRY_HEAD.size <= size:
        length, _ = ENTRY_HEAD.unpack(file.read(ENTRY_HEAD.size))
        at += ENTRY_HEAD.size + length
        if at > size:
            return
        begin = file.read(min(length, _LONGEST_NAME))
        name, _, own = begin.partition(b"\0")
        if not name:
            own += file.read(length - len(begin))
        yield name.decode(), own
        file.seek(at)
