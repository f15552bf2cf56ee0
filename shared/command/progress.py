"""How far a long computation is: a bar in a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from shared.command import progress_console

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

EVERY: Final = 30.0
"""Seconds between lines: enough to see in a journal that something happens, and what."""


class Tracker(Protocol):
    """Shows how far it is."""

    def track(
        self, sequence: Iterable[T], total: float | None = None, *, description: str
    ) -> Iterable[T]:
        """Give what is in a sequence, one after the other, and show how much of it that was."""
        ...


class Lines:
    """Writes a line now and then, and none about what is done soon.

    Parameters
    ----------
    console
        Where to.
    clock
        Gives seconds; for tests.
    """

    def __init__(self, console: "Console", clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._said = clock()

    def track(
        self, sequence: Iterable[T], total: float | None = None, *, description: str
    ) -> Iterator[T]:
        """See :class:`Tracker`."""
        if total is None and isinstance(sequence, Sized):
            total = len(sequence)
        whole = "" if total is None else f" of {total:.0f}"
        for count, one in enumerate(sequence):
            if self._clock() - self._said >= EVERY:
                self._said = self._clock()
                self._console.print(f"{description}: {count}{whole}")
            yield one


class _Silence:
    def track(
        self, sequence: Iterable[T], total: float | None = None, *, description: str
    ) -> Iterable[T]:
        del total, description
        return sequence


@contextmanager
def tracker(*, shown: bool) -> Iterator[Tracker]:
    """Show progress on standard error, if it is to be shown: as a bar if that is a terminal."""
    from rich.progress import Progress

    console = progress_console()
    if not shown:
        yield _Silence()
    elif console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            yield bar
    else:
        yield Lines(console)
