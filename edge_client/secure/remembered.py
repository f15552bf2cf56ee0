"""What a device must not forget: values by name in a small JSON file, a line each."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import TrustError
from shared.storage.files import read_file, replacing, sync_folder

T = TypeVar("T")


def read_remembered(
    path: Path, value_of: Callable[[str, Any], T], unreadable: TrustError
) -> dict[str, T]:
    """Read what is remembered; nothing if there is no file.

    Parameters
    ----------
    path
        The file.
    value_of
        Makes a value of its name and what stands beside it. What it raises, a ``ValueError``, a
        ``TypeError`` or a :class:`TrustError`, says that this cannot be one.
    unreadable
        What to raise if the file cannot be read: it is not taken for an empty one.
    """
    try:
        found = json.loads(read_file(path))
        return {name: value_of(name, value) for name, value in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, TrustError) as error:
        raise unreadable from error


def write_remembered(path: Path, values: Mapping[str, object]) -> None:
    """Write what is to be remembered, for its owner alone; it is safe on the disk on return.

    Raises
    ------
    StorageError
        If the disk is full; then what was there stays.
    """
    with replacing(path, 0o600) as aside:
        aside.write_text(json.dumps(values, indent=0, sort_keys=True) + "\n")
    sync_folder(path.parent)
