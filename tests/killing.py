"""Killing work at each of its steps."""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do work in a process that is killed before it replaces or removes a file for this time.

    Returns
    -------
    bool
        Whether it was: it has so many steps.
    """

    def run() -> None:
        steps = itertools.count()
        for name in ("replace", "unlink"):
            setattr(Path, name, counted(getattr(Path, name), steps))
        work()

    def counted(real: Callable[..., Any], steps: "itertools.count[int]") -> Callable[..., Any]:
        def counting(*values: Any, **more: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*values, **more)

        return counting

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def killed(work: Callable[[], object]) -> None:
    """Do something in a process of its own, which is to be killed in it."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def suicide(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
