"""TensorFlow and Keras, imported without their start-up messages."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from typing import Any, Final

from shared.errors import MissingPartError

_M_ARENA_MAX: Final = -8
"""The number by which glibc's mallopt(3) knows how many heaps the threads of a process share."""

_NOT_NEEDED: Final = ("matplotlib", "matplotlib.pyplot", "sklearn")
"""What Keras imports if it is there, for galleries and wrappers that nobody here uses."""


def import_tensorflow(threads: int = 1) -> Any:
    """Import TensorFlow quietly.

    An operation is computed by one thread: the result then does not depend on the number of cores,
    and functions called at the same time do not wait for each other's.

    Parameters
    ----------
    threads
        Functions that may run at the same time. What the first call in a process says holds for
        all of it.

    Raises
    ------
    MissingPartError
        If it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # What one thread frees another can use, where by default each would keep it: 1 % of the memory
    # of a simulation. One heap alone would make the threads wait. Only glibc has the choice.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    # Messages of its C++ start-up go to file descriptor 2, whatever the log level.
    kept, quiet = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    try:
        with without(_NOT_NEEDED):
            import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # it has started, with the threads of then
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.list_logical_devices()
    except ImportError as error:
        raise MissingPartError(
            "This needs TensorFlow, which is not installed.",
            "Install it with: pip install 'chorus-edge[workstation]'",
        ) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(quiet)
    return tf


class _Hidden(MetaPathFinder):
    """Says of modules that they are not there, to the thread that made it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names, self._thread = names, threading.get_ident()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002
        """Raise :class:`ModuleNotFoundError` for a hidden module; leave others to others."""
        if fullname in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is hidden", name=fullname)


@contextlib.contextmanager
def without(names: tuple[str, ...]) -> Iterator[None]:
    """Import without modules that are imported where they can be: a third of TensorFlow's time."""
    hidden = _Hidden(names)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)
