"""Environment variables of settings: each program has a prefix of its own.

A variable's name is the program's prefix and the setting's name in capitals. The version before
had ``CHORUS_`` alone for all programs; such a name still works, with a remark.
"""

import difflib
import functools
import logging
import os
from collections.abc import Collection
from typing import Final, Literal, get_args

log = logging.getLogger(__name__)

Prefix = Literal["CHORUS_EDGE_", "CHORUS_AGGREGATOR_"]
"""What the variables of a program begin with: none takes another's."""

_OLD_PREFIX: Final = "CHORUS_"

_NEAR: Final = 0.8
"""Likeness, of 1, from which on a variable is taken for a misspelt one."""


def variable_of(name: str, prefix: Prefix) -> str:
    """Name the variable of a setting."""
    return prefix + name.upper()


def read_environment(names: Collection[str], prefix: Prefix) -> dict[str, str]:
    """Read the variables of these settings; an empty one counts as not given.

    An old name, and a name that is nearly right, are remarked on, once a process.

    Parameters
    ----------
    names
        The settings' names, in small letters.
    prefix
        The program's.

    Returns
    -------
    dict
        The texts, by the settings' names.
    """
    found, old = {}, []
    for name in names:
        new_name, old_name = variable_of(name, prefix), _OLD_PREFIX + name.upper()
        if text := os.environ.get(new_name):
            found[name] = text
        elif text := os.environ.get(old_name):
            found[name] = text
            old.append(f"{old_name} is {new_name}")
    if old:
        remark_once(
            "Environment variables have new names; the old ones work in this version only: "
            f"{', '.join(old)}."
        )
    for variable in sorted(os.environ):
        _look_for_misspelling(variable, names, prefix)
    return found


def _look_for_misspelling(variable: str, names: Collection[str], prefix: Prefix) -> None:
    """Remark on a variable that is nearly one of this command's; other commands have others."""
    others = tuple(other for other in get_args(Prefix) if other != prefix)
    if not variable.startswith(_OLD_PREFIX) or variable.startswith(others):
        return
    bare = variable.removeprefix(prefix).removeprefix(_OLD_PREFIX)
    known = {name.upper(): name for name in names}
    if not variable.startswith(prefix):  # the prefix itself may be misspelt
        known |= {variable_of(name, prefix).removeprefix(_OLD_PREFIX): name for name in names}
    near = difflib.get_close_matches(bare, known, n=1, cutoff=_NEAR)
    if near and bare not in known:
        meant = variable_of(known[near[0]], prefix)
        remark_once(f"The environment variable {variable} is not known here; is {meant} meant?")


@functools.cache
def remark_once(sentence: str) -> None:
    """Write a remark to the log, the same one only once a process."""
    log.warning("%s", sentence)
