"""Ctrl-C, also where a library loses the exception that Python makes of it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType


@contextmanager
def heeding_interrupts() -> Iterator[Callable[[], None]]:
    """Remember Ctrl-C: compiled code that clears an error of its own clears this one, too.

    Yields
    ------
    Callable
        Raises :class:`KeyboardInterrupt` if Ctrl-C was pressed since: to be called now and then.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    def heed() -> None:
        if pressed:
            raise KeyboardInterrupt

    # Python takes signals in its first thread; what others have arranged stays.
    arranged = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    if arranged or current_thread() is not main_thread():
        yield heed
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield heed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
