"""Killing work at each of its steps."""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def killed(work: Callable[[], object]) -> bool:
    """Do work in a process of its own; say whether it was killed, as it may kill itself."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def killed_at(
    step: int,
    work: Callable[[], object],
    owner: object = Path,
    steps: Sequence[str] = ("replace", "unlink"),
) -> bool:
    """Do work in a process that is killed before it takes a step for this time.

    Parameters
    ----------
    step
        Counted from 0.
    work
        What is done.
    owner, steps
        Whose functions count as steps, and their names: if not given, replacing or removing a file.

    Returns
    -------
    bool
        Whether it was: it has so many steps.
    """

    def run() -> None:
        taken = itertools.count()
        for name in steps:
            setattr(owner, name, counted(getattr(owner, name), taken))
        work()

    def counted(real: Callable[..., Any], taken: "itertools.count[int]") -> Callable[..., Any]:
        def counting(*values: Any, **more: Any) -> Any:
            if next(taken) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*values, **more)

        return counting

    return killed(run)


def suicide(*_: object) -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)
