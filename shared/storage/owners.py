"""Whose files are: what root writes for a service stays the service's."""

import codecs
import contextlib
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.errors import StorageError, TrustError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW


def give_as(made: int, like: Path) -> None:
    """Give what root has made to whoever has something else; for others nothing is done.

    Without it a command that was started with ``sudo`` would leave a file that the service cannot
    read.

    Parameters
    ----------
    made
        A descriptor of what was made: where somebody else may write in the folder, a name can
        become another file's at any moment.
    like
        What has the owner: what is replaced, or the folder.
    """
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):  # a disk without owners, or a container's root
        known = like.stat()
        os.chown(made, known.st_uid, known.st_gid)


def give_tree(folder: Path, give: Callable[[int], object]) -> None:
    """Give away a folder, and the folders and files in it; for others than root nothing is done.

    Somebody else may put anything there, before and meanwhile. What a link leads to is not given
    away, nor a file that has another name elsewhere.

    Parameters
    ----------
    folder
        The folder, by a path that leads through no link.
    give
        Gives away what it gets a descriptor of.

    Raises
    ------
    OSError
        If the path leads through a link, or something cannot be opened.
    """
    if os.geteuid() != 0:
        return
    top = _opened(folder)
    try:
        for _, _, names, handle in os.fwalk(dir_fd=top):
            give(handle)
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                    _give_file(name, handle, give)
    finally:
        os.close(top)


def _opened(folder: Path) -> int:
    """Open a folder, following no link on the way."""
    handle = os.open(folder.anchor, _FOLDER)
    for name in folder.parts[1:]:
        try:
            within = os.open(name, _FOLDER, dir_fd=handle)
        finally:
            os.close(handle)
        handle = within
    return handle


def _give_file(name: str, folder: int, give: Callable[[int], object]) -> None:
    """Give away a file of an open folder, if it is one, and has no other name elsewhere."""
    if _may_go(os.stat(name, dir_fd=folder, follow_symlinks=False)):
        # Between the look and this, another file may have got the name: the open one is asked.
        handle = os.open(name, _FILE, dir_fd=folder)
        try:
            if _may_go(os.fstat(handle)):
                give(handle)
        finally:
            os.close(handle)


def _may_go(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


@contextmanager
def as_owner(folder: Path, *, of_all: bool = False) -> Iterator[None]:
    """Do what is done in the block as a folder's owner, if this is root; all threads do.

    Whoever owns a folder may have put links there, and root would follow them. Import before the
    block what is needed in it: the owner may not be allowed to read this program.

    Parameters
    ----------
    folder
        The folder. If there is none yet, root makes it.
    of_all
        Whether all that is in the folder becomes the owner's before: root may have left it there.

    Raises
    ------
    StorageError
        If this root may be nobody else, as in some containers, or the owner cannot reach the
        folder.
    OSError
        If not all can be given to the owner.
    """
    known = folder.stat() if folder.exists() else None
    if known is None or known.st_uid == 0 or os.geteuid() != 0:
        yield
        return
    if of_all:
        give_tree(folder.resolve(), lambda handle: os.chown(handle, known.st_uid, known.st_gid))
    try:
        group = pwd.getpwuid(known.st_uid).pw_gid
    except KeyError:  # a number without a name
        group = known.st_gid
    for codec in ("idna", "utf-8-sig"):
        codecs.lookup(codec)  # Python imports them when they are used first
    before = os.getegid(), os.getgroups()
    try:
        try:
            os.setgroups([group])
            os.setegid(group)
            os.seteuid(known.st_uid)
            folder.stat()
        except OSError as error:
            raise StorageError(
                f"Cannot write {folder} as its owner, {_name(known.st_uid)}: {error.strerror}.",
                "Start this as that user, where that user can reach the folder.",
            ) from error
        yield
    finally:
        os.seteuid(0)
        os.setegid(before[0])
        with contextlib.suppress(PermissionError):  # then they could not be changed either
            os.setgroups(before[1])


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
