"""What one client can do to a round: how long its update may be, and how much it may weigh.

Both bounds follow what the others do. An update is shortened to a multiple of the median norm of
the last rounds' updates (compare Sun et al., 2019, https://arxiv.org/abs/1911.07963, who clip to a
fixed norm), and a client's examples count up to a multiple of the round's median. A median stays
what honest clients make it as long as they are more than half.
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

_MEMORY: Final = ("bounds.norms", "bounds.controls")
"""What is remembered, as it is called among what a strategy remembers."""

_FEWEST: Final = 3
"""Updates of a round in which more than half is remarkable: of two, one always has it."""

_REMARKABLE: Final = 2.0
"""How many times its bound an update must go beyond to be worth a word: in each round honest ones
go a little beyond theirs."""

_NAMED: Final = 3
"""Clients that a remark names."""

_Norms = tuple[float, float]
"""Of an update's difference and of its control variate; 0 where there is none."""


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
        self._medians: list[list[float]] = [[], []]
        self._measured: list[_Norms] = []
        self.remarks: list[str] = []

    @property
    def reads_twice(self) -> bool:
        """Whether the next round's updates are all measured before the first is bounded."""
        return self._norm > 0 and not self._medians[0]

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
        first = list(map(_norms, updates)) if self.reads_twice else None
        limits = self._limits(first)
        most = max(1, int(self._weight * median(examples))) if self._weight else math.inf
        round_ = _Round(len(examples))
        for number, update in enumerate(updates):
            norms = first[number] if first else _norms(update)
            self._measured.append(norms)
            yield round_.take(update, norms, limits, most)
            del update  # or its vectors would live until the next one is there
        self.remarks = round_.remarks(self._norm, self._weight)

    def learn(self) -> None:
        """Remember the norms of the round that was bounded last: it has its model."""
        if not self._norm:
            return
        deltas, controls = self._medians
        for known, norms in zip(self._medians, zip(*self._measured, strict=True), strict=False):
            # A norm of zero says nothing on how long an update may be.
            if found := [norm for norm in norms if 0 < norm < math.inf]:
                known.append(median(found))
        del deltas[:-ROUNDS]
        # A client's first change of its control variate is a whole gradient, later ones are small:
        # the largest median is the measure, or those who come late would be cut off.
        controls[:] = [max(controls)] if controls else []

    @property
    def memory(self) -> dict[str, NDArray[np.float64]]:
        """What the next round needs, each of shape ``(n,)``.

        Of the last rounds the median norm; of control variates the largest median so far.
        """
        return {
            name: np.array(known)
            for name, known in zip(_MEMORY, self._medians, strict=True)
            if known
        }

    def restore(self, memory: Mapping[str, NDArray[np.generic]]) -> None:
        """Take back what :attr:`memory` gave; names of others are left aside.

        Raises
        ------
        ValueError
            If these are no norms.
        """
        self._medians = [_checked(name, memory[name]) if name in memory else [] for name in _MEMORY]

    @staticmethod
    def owns(name: str) -> bool:
        """Say whether an array among what is remembered is of the bounds."""
        return name in _MEMORY

    def _limits(self, first: list[_Norms] | None) -> _Norms:
        """Give the norms that the round's vectors may have; in the first round by its own."""
        medians = self._medians
        if first is not None:
            medians = [[norm for norm in norms if norm > 0] for norms in zip(*first, strict=True)]
        delta, control = (
            self._norm * median(known) if self._norm and known else math.inf for known in medians
        )
        return (delta, control)


class _Round:
    """What the bounds do in one round."""

    def __init__(self, updates: int) -> None:
        self._updates = updates
        self._shortened: list[str] = []
        self._lightened: list[str] = []
        self._total = self._largest = 0.0
        self._first = ""

    def take(self, update: Update, norms: _Norms, limits: _Norms, most: float) -> Update:
        """Bound an update."""
        examples = min(update.examples, most)
        delta = min(norms[0], limits[0])
        part = examples * delta
        self._total += part
        if part > self._largest:
            self._largest, self._first = part, update.client
        bounded = update
        if examples < update.examples:
            bounded = replace(bounded, examples=int(examples))
        if update.examples > _REMARKABLE * most:
            self._lightened.append(f"{update.client}: {update.examples} as {examples}")
        if norms[0] > _REMARKABLE * limits[0]:
            self._shortened.append(f"{update.client}: {norms[0]:.4g} to {limits[0]:.4g}")
        if norms[0] > limits[0]:
            bounded = replace(bounded, delta=_Scaled.to(bounded.delta, limits[0] / norms[0]))
        if bounded.control is not None and norms[1] > limits[1]:
            control = _Scaled.to(bounded.control, limits[1] / norms[1])
            bounded = replace(bounded, control=control)
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


def _norms(update: Update) -> _Norms:
    return norm(update.delta), 0.0 if update.control is None else norm(update.control)


def _named(facts: list[str]) -> str:
    """Name some of the clients and count the others."""
    more = len(facts) - _NAMED
    return "; ".join(facts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _checked(name: str, norms: NDArray[np.generic]) -> list[float]:
    """Read remembered norms."""
    values = [float(value) for value in np.atleast_1d(norms).tolist()]
    if len(values) > ROUNDS or not all(0 < value < math.inf for value in values):
        raise ValueError(f"{name} does not hold norms")
    return values
