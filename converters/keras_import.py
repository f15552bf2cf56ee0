"""TensorFlow and Keras, imported without their start-up messages."""

import contextlib
import os
from typing import Any

from shared.errors import MissingPartError


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
    # Messages of its C++ start-up go to file descriptor 2, whatever the log level.
    kept, quiet = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    try:
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
