"""Whether this device would take part in a round now, and what it says of that."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from edge_client.federation import permission
from edge_client.federation.held_out import count_trained_on
from edge_client.federation.settings import FederationSettings, PermissionSettings
from shared.protocol.fields import Supply
from shared.protocol.messages import Announcement, Presence
from shared.training import TrainingSettings

if TYPE_CHECKING:
    from shared.protocol.privacy_offer import PrivacyOffer
    from shared.protocol.secure_offer import SecureOffer

log = logging.getLogger(__name__)

_LOOK: Final = 60.0
"""Seconds between looks at whether the device may train, where its owner has limited it."""


class Readiness:
    """What the device has to train on, whether that is enough, and whether its owner lets it.

    Parameters
    ----------
    settings
        When the owner lets it train, the terms, the share of the examples that is not trained on.
    keys
        Lists the keys of the examples; those that no person has labelled are negative.
    learned
        Lists the keys of those that the last accepted update was made of.
    say
        Says to the aggregator what there is; returns false if it could not.
    why_not
        Says why the device may not train now, as :func:`.permission.why_not` does.
    clock
        A clock that only goes forward, in seconds.

    Attributes
    ----------
    lacks
        How many more labelled examples it needs to take part, or until there are enough new ones
        for a round to open, as of the last look; ``None`` before the federation has said what it
        asks for.
    trains
        Whether it would take part, as of the last look.
    objection
        What the announced round asks for that the terms do not allow, a sentence; empty if there
        is nothing.
    """

    def __init__(
        self,
        settings: FederationSettings,
        *,
        keys: Callable[[], Sequence[int]],
        learned: Callable[[], Sequence[int]],
        say: Callable[[Presence], bool],
        why_not: Callable[..., str | None] = permission.why_not,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._terms = settings.terms
        self._limits = limits = settings.part(PermissionSettings)
        self._limited = limits.train_between or limits.on_mains or limits.most_load is not None
        self._keys = keys
        self._learned = learned
        self._say = say
        self._said: Presence | None = None
        self._why_not = why_not
        self._clock = clock
        self._looked = 0.0
        self._asked: tuple[int, int] | None = None
        self._training = TrainingSettings()
        self._secure: SecureOffer | None = None
        self._privacy: PrivacyOffer | None = None
        self.lacks: int | None = None
        self.trains = True
        self.objection = ""

    @property
    def look_at(self) -> float | None:
        """When to look again; ``None`` where nothing but the examples can change."""
        return self._looked + _LOOK if self._limited else None

    def heed(self, announcement: Announcement) -> None:
        """Learn what the federation asks of a device."""
        least = max(announcement.least_examples, self._terms.fewest_examples)
        self._asked = least, announcement.new_examples
        self._training, self._secure = announcement.training, announcement.secure
        self._privacy = announcement.privacy

    def say_again(self) -> None:
        """Let the next look say what there is, also if that was said before."""
        self._said = None

    def look(self, *, training: bool) -> None:
        """Look, and say what there is, if it is something else than what was said last.

        Said again with each label, it would tell when a person labels.

        Parameters
        ----------
        training
            Whether the device trains already.
        """
        self._looked = self._clock()
        why_not = self._why_not(self._limits, training=training)
        least, new = self._asked or (1, 0)
        labelled = {key for key in self._keys() if key >= 0}
        fresh = len(labelled.difference(self._learned()))
        if self._asked:
            self.lacks = max(least - len(labelled), new - fresh, 0)
        self.objection = ""
        if not labelled:
            why_not = "it has no labelled examples yet"
        elif len(labelled) < least:
            asks = "its own terms ask for" if least == self._terms.fewest_examples else "it needs"
            why_not = f"it has {len(labelled)} of the {least} labelled examples that {asks}"
        elif self._asked:
            examples = count_trained_on(labelled, self._settings.holdout)
            objection = self._terms.objection(self._training, examples, self._secure, self._privacy)
            self.objection = _sentence(objection) if objection else ""
            why_not = objection or why_not
        if why_not and self.trains:
            log.info("%s", _sentence(why_not))
        self.trains = why_not is None
        presence = Presence(
            state="online",
            supply=self._supply(len(labelled), least, fresh, new),
            trains=self.trains,
            task=self._settings.task.digest,
            software=_software(),
        )
        if presence != self._said:
            self._said = presence if self._say(presence) else None

    def _supply(self, labelled: int, least: int, fresh: int, new: int) -> Supply | None:
        """Say roughly what there is; nothing before it is known what is asked for."""
        if self._asked is None:
            return None
        if labelled < least:
            return "some" if labelled else "none"
        return "new" if fresh >= new else "enough"


def _sentence(why_not: str) -> str:
    return f"This device takes part in no round now: {why_not}."


@functools.cache  # it is a file to be read
def _software() -> str:
    from importlib.metadata import version

    return f"chorus-edge {version('chorus-edge')}"
