"""Sets of bytes of a file, as ranges."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """Half-open ranges of offsets, sorted, apart from each other and never empty.

    Parameters
    ----------
    ranges
        Any ranges ``(begin, end)``, also overlapping; empty ones are left aside.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        for begin, end in ranges:
            self.add(begin, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give the ranges in order."""
        return zip(self._begins, self._ends, strict=True)

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self._begins)

    @property
    def total(self) -> int:
        """Number of offsets in all ranges."""
        return sum(self._ends) - sum(self._begins)

    def add(self, begin: int, end: int) -> None:
        """Add a range; what it touches becomes one with it."""
        if begin >= end:
            return
        first = bisect_left(self._ends, begin)
        last = bisect_right(self._begins, end)
        if first < last:
            begin = min(begin, self._begins[first])
            end = max(end, self._ends[last - 1])
        self._begins[first:last] = [begin]
        self._ends[first:last] = [end]

    def covers(self, begin: int, end: int) -> bool:
        """Say whether all of a range is in the set."""
        where = bisect_right(self._begins, begin) - 1
        return begin >= end or (where >= 0 and end <= self._ends[where])

    def whole(self, chunk: int, size: int) -> Iterator[tuple[int, int]]:
        """Give what of the set is whole chunks of a file of so many bytes, the last one too."""
        for begin, end in self:
            first = -(-begin // chunk) * chunk
            last = end if end >= size else end // chunk * chunk
            if first < last:
                yield first, last

    def missing(self, size: int) -> Iterator[tuple[int, int]]:
        """Give what is not in the set, of the offsets from 0 to ``size``, in order."""
        reached = 0
        for begin, end in self:
            if begin >= size:
                break
            if begin > reached:
                yield reached, begin
            reached = end
        if reached < size:
            yield reached, size
