"""Whose files are: what root writes for a service stays the service's."""

import contextlib
import os
import pwd
from pathlib import Path

from shared.errors import TrustError


def give_as(made: int | Path, like: Path) -> None:
    """Give what root has made to whoever has something else; for others nothing is done.

    Without it a command that was started with ``sudo`` would leave a file that the service cannot
    read.

    Parameters
    ----------
    made
        What was made: a descriptor where somebody else may write in the folder, as a name there can
        become another file's at any moment; or a path, of which no link is followed.
    like
        What has the owner: what is replaced, or the folder.
    """
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):  # a disk without owners, or a container's root
        known = like.stat()
        os.chown(made, known.st_uid, known.st_gid, follow_symlinks=isinstance(made, int))


def denied(what: str, path: Path) -> TrustError:
    """Make the error of a file that is there, and that this user may not read.

    Parameters
    ----------
    what
        What it is, for the sentence.
    path
        The file.
    """
    own = _name(os.geteuid())
    try:
        owner, of_folder = (_name(one.stat().st_uid) for one in (path, path.parent))
    except OSError:
        return TrustError(
            f"{what} {path} cannot be used: {own} may not look into its folder.",
            "Start this as the user who may.",
        )
    remedy = f"Start this as that user: `sudo -u {owner} ...`."
    if owner == own:
        remedy = f"Let it be read: `chmod 600 {path}`."
    elif owner != of_folder:
        remedy = f"Give it back to its folder's owner: `sudo chown {of_folder} {path}`."
    return TrustError(
        f"{what} {path} cannot be used: it belongs to {owner}, and {own} may not read it.", remedy
    )


def _name(user: int) -> str:
    """Name a user, by the number if there is no name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
