"""TensorFlow and Keras, imported without their start-up messages."""

import os
from typing import Any

from shared.errors import MissingPartError


def import_tensorflow() -> Any:
    """Import TensorFlow quietly.

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
    except ImportError as error:
        raise MissingPartError(
            "Exporting models needs TensorFlow, which is not installed.",
            "Install it with: pip install 'chorus-edge[workstation]'",
        ) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(quiet)
    return tf
