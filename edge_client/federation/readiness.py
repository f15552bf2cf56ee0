"""Whether this device would take part in a round now, and what it says of that."""

import logging
from collections.abc import Callable
from typing import Final

from edge_client.federation import permission
from edge_client.federation.settings import PermissionSettings
from shared.protocol.messages import Presence

log = logging.getLogger(__name__)

_LOOK: Final = 60.0
"""Seconds between looks at whether the device may train, where its owner has limited it."""


class Readiness:
    """What the device has to train on, and whether its owner lets it.

    Parameters
    ----------
    limits
        What the owner allows.
    count
        Counts the labelled examples.
    why_not
        Says why the device may not train now, as :func:`.permission.why_not` does.
    clock
        A clock that only goes forward, in seconds.
    task
        Digest of what the device recognises.

    Attributes
    ----------
    examples
        How many there were at the last look.
    trains
        Whether it would take part, as of the last look.
    """

    def __init__(
        self,
        limits: PermissionSettings,
        *,
        count: Callable[[], int],
        why_not: Callable[..., str | None] = permission.why_not,
        clock: Callable[[], float],
        task: str,
    ) -> None:
        self._limits = limits
        self._limited = limits.train_between or limits.on_mains or limits.most_load is not None
        self._count = count
        self._why_not = why_not
        self._clock = clock
        self._task = task
        self._looked = 0.0
        self.examples = 0
        self.trains = True

    @property
    def look_at(self) -> float | None:
        """When to look again; ``None`` where nothing but the examples can change."""
        return self._looked + _LOOK if self._limited else None

    def look(self, *, training: bool) -> Presence:
        """Look, and give what to say to the aggregator; ``training``: whether it trains already."""
        self._looked = self._clock()
        why_not = self._why_not(self._limits, training=training)
        self.examples = self._count()
        if not self.examples:
            why_not = "it has no labelled examples yet"
        if why_not and self.trains:
            log.info("This device takes part in no round now: %s.", why_not)
        self.trains = why_not is None
        return Presence(
            state="online",
            examples=self.examples,
            trains=self.trains,
            task=self._task,
            software=_software(),
        )


def _software() -> str:
    from importlib.metadata import version

    return f"chorus-edge {version('chorus-edge')}"
