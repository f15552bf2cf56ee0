"""Standard error, kept free of what C libraries write there by themselves."""

import contextlib
import os
import threading
from collections.abc import Iterator

_hushing = threading.Lock()
_hushed: list[int] = []  # the true standard error, once for each who wants quiet


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep C libraries quiet, which say on standard error what is no error of anybody's.

    It holds for all threads, until the last who wants it has enough. A process that has closed its
    standard error is quiet already.
    """
    try:
        os.fstat(2)
    except OSError:
        yield
        return
    with _hushing:
        _hushed.append(os.dup(_hushed[0] if _hushed else 2))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    try:
        yield
    finally:
        with _hushing:
            kept = _hushed.pop()
            if not _hushed:
                os.dup2(kept, 2)
            os.close(kept)
