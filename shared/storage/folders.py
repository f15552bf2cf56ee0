"""Where a user's files belong (XDG Base Directory Specification 0.8)."""

import os
from pathlib import Path

from shared.errors import SettingsError


def user_folder(variable: str, below_home: str, remedy: str) -> Path:
    """Find the folder of a kind of files.

    Parameters
    ----------
    variable
        The environment variable that names it, such as ``XDG_STATE_HOME``: a whole path, or it
        counts as none.
    below_home
        Where it is in the user's home folder if the variable is not set.
    remedy
        What to give where there is no home folder either.

    Raises
    ------
    SettingsError
        If the user has no home folder.
    """
    named = Path(os.environ.get(variable, ""))
    if named.is_absolute():  # the specification has others left aside
        return named
    try:
        return Path.home() / below_home
    except RuntimeError as error:
        raise SettingsError("This user has no home folder to keep files in.", remedy) from error


def expanded(path: Path) -> Path:
    """Put in the home folder that ``~`` stands for; ``~name`` of nobody is a file's name.

    Raises
    ------
    SettingsError
        If it stands for one that is not known.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        if path.parts[0] != "~":
            return path
        raise SettingsError(
            "This user has no home folder that ~ could stand for.", "Give the whole path."
        ) from error


def state_folder(name: str) -> Path:
    """Find where a program keeps its state, if no other folder is given; see `user_folder`."""
    return user_folder("XDG_STATE_HOME", ".local/state", "Give --state DIR.") / name
