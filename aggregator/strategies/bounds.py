"""What one client can do to a round: how long its update may be, and how much it may weigh.

Both bounds follow what the others do. An update is shortened to a multiple of the median norm of
the last rounds' updates (compare Sun et al., 2019, https://arxiv.org/abs/1911.07963, who clip to a
fixed norm), and a client's examples count up to a multiple of the round's median. A median stays
what honest clients make it as long as they are more than half.

Control variates (SCAFFOLD) are left as they are: the server's is the sum of the clients' changes,
and a client adds what it has sent to its own. A part cut off here would be missing for ever.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aggregator.strategies.update import Update
from shared.weights import StoredVector, Vector, Weights, norm

ROUNDS: Final = 5
"""Rounds whose median norms are remembered: a bad one is outvoted, and a training whose updates
grow is followed within three."""

_MEMORY: Final = "bounds.norms"
"""What is remembered, as it is called among what a strategy remembers."""

_FORMER: Final = "bounds.controls"
"""What earlier versions remembered besides: a norm of control variates, which says nothing now."""

_FEWEST: Final = 3
"""Updates of a round in which more than half is remarkable: of two, one always has it."""

_REMARKABLE: Final = 2.0
"""How many times its bound an update must go beyond to be worth a word: in each round honest ones
go a little beyond theirs."""

_NAMED: Final = 3
"""Clients that a remark names."""


class Bounds:
    """The bounds of a federation, from round to round.

    Parameters
    ----------
    norm
        Multiple of the median norm of the last rounds that an update is shortened to; 0: none is.
        The first round is measured by its own median.
    weight
        Multiple of the median of the round's examples that a client's count up to; 0: all count.

    Attributes
    ----------
    remarks
        Sentences on what was remarkable in the round that was bounded last.
    """

    def __init__(self, *, norm: float = 0.0, weight: float = 0.0) -> None:
        self._norm = norm
        self._weight = weight
        self._medians: list[float] = []
        self._measured: list[float] = []
        self.remarks: list[str] = []

    @property
    def reads_twice(self) -> bool:
        """Whether the next round's updates are all measured before the first is bounded."""
        return self._norm > 0 and not self._medians

    def bounded(
        self, updates: Iterable[Update], examples: Sequence[int] | None
    ) -> Iterator[Update]:
        """Pass the updates of a round on, each within its bounds; one that is, is left as it is.

        Parameters
        ----------
        updates
            In the order of the clients' names; iterated twice if :attr:`reads_twice`.
        examples
            How many each of them has, in any order; where they are not given, all updates are
            held at once to look.
        """
        self._measured, self.remarks = [], []
        if not self._norm and not self._weight:
            yield from updates
            return
        if examples is None:
            updates = list(updates)
            examples = [update.examples for update in updates]
        first = list(map(_length, updates)) if self.reads_twice else None
        longest = self._longest(first)
        most = max(1, int(self._weight * median(examples))) if self._weight else math.inf
        round_ = _Round(len(examples))
        for number, update in enumerate(updates):
            length = first[number] if first else _length(update)
            self._measured.append(length)
            yield round_.take(update, length, longest, most)
            del update  # or its vectors would live until the next one is there
        self.remarks = round_.remarks(self._norm, self._weight)

    def learn(self) -> None:
        """Remember the norms of the round that was bounded last: it has its model."""
        if not self._norm:
            return
        # A norm of zero says nothing on how long an update may be.
        if found := [length for length in self._measured if 0 < length < math.inf]:
            self._medians.append(median(found))
        del self._medians[:-ROUNDS]

    @property
    def memory(self) -> dict[str, NDArray[np.float64]]:
        """What the next round needs: the median norms of the last rounds, shape ``(n,)``."""
        return {_MEMORY: np.array(self._medians)} if self._medians else {}

    def restore(self, memory: Mapping[str, NDArray[np.generic]]) -> None:
        """Take back what :attr:`memory` gave; names of others are left aside.

        Raises
        ------
        ValueError
            If these are no norms.
        """
        self._medians = _checked(memory[_MEMORY]) if _MEMORY in memory else []

    @staticmethod
    def owns(name: str) -> bool:
        """Say whether an array among what is remembered is of the bounds."""
        return name in (_MEMORY, _FORMER)

    def _longest(self, first: list[float] | None) -> float:
        """Give the norm that an update may have; in the first round by the round's own."""
        known = self._medians
        if first is not None:
            known = [length for length in first if length > 0]
        return self._norm * median(known) if self._norm and known else math.inf


class _Round:
    """What the bounds do in one round."""

    def __init__(self, updates: int) -> None:
        self._updates = updates
        self._shortened: list[str] = []
        self._lightened: list[str] = []
        self._total = self._largest = 0.0
        self._first = ""

    def take(self, update: Update, length: float, longest: float, most: float) -> Update:
        """Bound an update."""
        examples = min(update.examples, most)
        part = examples * min(length, longest)
        self._total += part
        if part > self._largest:
            self._largest, self._first = part, update.client
        bounded = update
        if examples < update.examples:
            bounded = replace(bounded, examples=int(examples))
        if update.examples > _REMARKABLE * most:
            self._lightened.append(f"{update.client}: {update.examples} as {examples}")
        if length > _REMARKABLE * longest:
            self._shortened.append(f"{update.client}: {length:.4g} to {longest:.4g}")
        if length > longest:
            bounded = replace(bounded, delta=_Scaled.to(bounded.delta, longest / length))
        return bounded

    def remarks(self, norm: float, weight: float) -> list[str]:
        """Say what was remarkable."""
        found = []
        if self._shortened:
            most = f"{norm:g} x the median norm of the last rounds"
            found.append(f"Shortened to {most}: {_named(self._shortened)}.")
        if self._lightened:
            most = f"{weight:g} x the round's median"
            found.append(f"Examples counted up to {most}: {_named(self._lightened)}.")
        if self._updates >= _FEWEST and self._largest > self._total / 2:
            share = self._largest / self._total
            found.append(f"The update of {self._first} has {share:.0%} of the round.")
        return found


@dataclass(frozen=True, slots=True)
class _Scaled(StoredVector):
    """A vector times a number, computed where it is read."""

    vector: Vector
    factor: np.float32

    @classmethod
    def to(cls, vector: Vector, factor: float) -> "_Scaled":
        """Scale a vector."""
        return cls(vector, np.float32(factor))

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self.vector)

    def __getitem__(self, where: slice, /) -> Weights:
        """Read one contiguous piece."""
        return self.vector[where] * self.factor


def median(values: Sequence[float]) -> float:
    """Give the median; of an even number of values the lower one of the two in the middle.

    The upper one, or their mean, one of two clients could make as large as it likes.
    """
    return sorted(values)[(len(values) - 1) // 2] if values else 0.0


def _length(update: Update) -> float:
    return norm(update.delta)


def _named(facts: list[str]) -> str:
    """Name some of the clients and count the others."""
    more = len(facts) - _NAMED
    return "; ".join(facts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _checked(norms: NDArray[np.generic]) -> list[float]:
    """Read remembered norms."""
    values = [float(value) for value in np.atleast_1d(norms).tolist()]
    if len(values) > ROUNDS or not all(0 < value < math.inf for value in values):
        raise ValueError(f"{_MEMORY} does not hold norms")
    return values
