"""How far a long computation is: a bar in a terminal, now and then a line elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from shared.command import progress_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

EVERY: Final = 30.0
"""Seconds between lines: enough to see in a journal that something happens, and what."""


_DRAWN: ContextVar["Progress | None"] = ContextVar("_DRAWN", default=None)
"""The bar in the terminal: two would be drawn one over the other."""


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
def bar_on(console: "Console") -> Iterator["Progress"]:
    """Draw a bar if the console is a terminal; a :func:`tracker` meanwhile adds to it."""
    from rich.progress import Progress

    bar = Progress(console=console, transient=True, disable=not console.is_terminal)
    before = _DRAWN.set(bar if console.is_terminal else None)
    try:
        with bar:
            yield bar
    finally:
        _DRAWN.reset(before)


@contextmanager
def _added_to(bar: "Progress") -> Iterator["Progress"]:
    before = bar.task_ids
    try:
        yield bar
    finally:
        for task in bar.task_ids:
            if task not in before:
                bar.remove_task(task)
        bar.refresh()


@contextmanager
def tracker(*, shown: bool) -> Iterator[Tracker]:
    """Show progress on standard error, if it is to be shown: as a bar if that is a terminal."""
    console = progress_console()
    if not shown:
        yield _Silence()
    elif drawn := _DRAWN.get():
        with _added_to(drawn) as bar:
            yield bar
    elif console.is_terminal:
        with bar_on(console) as bar:
            yield bar
    else:
        yield Lines(console)
