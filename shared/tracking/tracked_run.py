"""A run as trackers of experiments know it: settings, curves, files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Point(NamedTuple):
    """Values at one place of a run's curves.

    Attributes
    ----------
    step
        The round.
    at
        When, in seconds since 1970.
    values
        By the curves' names; ``None`` where there is no value.
    """

    step: int
    at: float
    values: Mapping[str, float | None]

    @property
    def there(self) -> dict[str, float]:
        """The values that there are."""
        return {name: float(value) for name, value in self.values.items() if value is not None}


@dataclass(slots=True)
class TrackedRun:
    """What is to be seen of a run; it grows while the run goes.

    Attributes
    ----------
    experiment
        The name of what it is a part of.
    name
        Its own.
    identity
        What tells it from all others: the same text finds it again.
    settings
        What determines its result.
    points
        Its curves so far, by rising step.
    files
        What is kept of it besides, by the folder that it is kept in.
    scores
        What it came to.
    ended
        Whether nothing more comes; set last.
    """

    experiment: str
    name: str
    identity: str
    settings: Mapping[str, Any]
    points: list[Point] = field(default_factory=list)
    files: Mapping[str, list[Path]] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    ended: bool = False
