"""What the page needs to know of a device."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.task import Task


class StoredUtteranceLike(Protocol):
    """An utterance and what was recognised in it."""

    @property
    def identifier(self) -> int:
        """By which the device knows it; negative if it could not be kept, and takes no answer."""

    @property
    def heard_at(self) -> datetime:
        """When it ended, with its time zone."""

    @property
    def seconds(self) -> float:
        """How long it is."""

    @property
    def predicted(self) -> str | None:
        """The name of the most probable label; none while there is no model."""

    @property
    def shares(self) -> Mapping[str, float]:
        """The probability of each label by its name; empty while there is no model."""

    @property
    def label(self) -> str | None:
        """What the person said it is."""

    @property
    def unsure(self) -> bool:
        """Whether the device called its answer unsure: it is asked about first."""

    @property
    def discarded(self) -> bool:
        """Whether the person threw it away: it is not shown."""


class WeekLike(Protocol):
    """How well the device did in a week."""

    @property
    def begins(self) -> date:
        """Its Monday."""

    @property
    def answered(self) -> int:
        """Answers to what was recognised."""

    @property
    def right(self) -> int:
        """Those that confirm it."""

    @property
    def current(self) -> bool:
        """Whether it is this week."""


class DeviceLike(Protocol):
    """A device that listens; each of its methods may be called from any thread.

    A method that cannot do what it was asked raises a :class:`shared.errors.ChorusError`; the page
    shows its sentence.
    """

    @property
    def task(self) -> Task:
        """What it recognises; it stays the same."""

    @property
    def paused(self) -> bool:
        """Whether it does not listen because its user wants so."""

    def recent(self, limit: int, /) -> Sequence[StoredUtteranceLike]:
        """Give the last utterances, the newest first."""

    def correct(self, identifier: int, label: str, /) -> object:
        """Give an utterance one of the task's labels."""

    def discard(self, identifier: int, /) -> object:
        """Throw an utterance away."""

    def undo(self) -> StoredUtteranceLike | None:
        """Take back the last of ``correct`` and ``discard``, if there is one."""

    def counts(self) -> Mapping[Any, int]:
        """Count the labelled examples of each label."""

    def lately(self) -> Sequence[WeekLike]:
        """Tell how well it did in the last weeks, the newest first."""

    def sound(self, identifier: int, /) -> NDArray[np.float32] | None:
        """Give an utterance's sound, 16 kHz mono in ±1, while it is still in memory."""

    def pause(self) -> object:
        """Stop listening."""

    def resume(self) -> object:
        """Listen again."""

    def delete_everything(self) -> object:
        """Delete everything that this device holds of its user."""

    def status(self) -> Mapping[str, Any]:
        """Tell ``state``, ``model``, ``training``, ``round``, ``source``, ``level``, ``problem``.

        The state is one of those that ``static/texts.json`` has a text for; the level is in dBFS;
        the problem is what the person should know, in sentences, or ``None``. The others are
        ``None`` or: the model's ``architecture``, ``digest``, whether it is ``personal``, and what
        ``unsure`` means (``below``, ``answers``, ``wrong``); how many ``examples`` were learned
        from; the round's ``number`` (or ``None``), its ``state`` and how many updates were
        ``accepted``; the source's ``detail`` and ``overruns``. There may also be a ``card`` and a
        ``first_minute``, as in that of :class:`~edge_client.device.device.Device`.
        """

    def subscribe(self, callback: Callable[..., None], /) -> Callable[[], object]:
        """Call ``callback`` after each change, from any thread; give what ends that."""
