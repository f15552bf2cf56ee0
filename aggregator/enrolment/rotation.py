"""The aggregator gets another key: one that it makes itself, or one that a root has issued.

The root and what it does stay on a machine of their own. It makes a key and its statement on that,
in one file; nothing but that file goes from there to the aggregator, and nothing comes back.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aggregator.enrolment.key_file import HandedOver, KeyFile
from aggregator.enrolment.links import facts_of, members_in
from aggregator.ledger.folder import FederationFolder
from shared.errors import SettingsError, TrustError
from shared.protocol.topics import is_name
from shared.storage.files import replacing
from shared.trust.issuing import Root, issue
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.succession import hand_over


def rotate(folder: FederationFolder, issued: Path | None = None) -> PublicKey:
    """Let the federation have another key, which the present one hands over to.

    Parameters
    ----------
    folder
        Of the federation.
    issued
        The file with a key that a root has issued. The federation has that root from then on, if it
        had none.

    Returns
    -------
    PublicKey
        The key that it has now; the one that it had, if that is the one in the file.

    Raises
    ------
    TrustError
        If the federation is not by invitation, or its key cannot be used; if it has a root and the
        key is not issued by that, for this federation, after the present one.
    StorageError
        If the disk is full; then it has the key that it had.
    """
    # Within a transaction, so that nobody else does so at the same time.
    with members_in(folder) as members, members.transaction():
        old = KeyFile.read(folder.key)
        if issued:
            new = KeyFile.read(issued)
            _check(new, old, facts_of(members, folder)["federation"], issued)
            if new.key.public == old.key.public:
                return new.key.public
        elif old.root:
            raise TrustError(
                f"The keys of this federation are issued by a root, {old.root.key.short}.",
                "Issue one where the root is (`aggregator keys issue`), and give its file as "
                "--issued.",
            )
        else:
            new = KeyFile(SecretKey.new())
        said = HandedOver(old.key.public, hand_over(old.key, new.key.public))
        replace(new, handed_over=(*old.handed_over, said)).write(folder.key)
    return new.key.public


def _check(new: KeyFile, old: KeyFile, federation: str, file: Path) -> None:
    """Raise :class:`TrustError` if a key cannot come after the present one."""
    if new.root is None or new.issued is None:
        raise TrustError(
            f"{file} holds no key that a root has issued.", "Make one: `aggregator keys issue`."
        )
    if new.root.federation != federation:
        raise TrustError(
            f"The key in {file} was issued for the federation {new.root.federation}, and this one "
            f"is {federation}.",
            f"Issue one with --federation {federation}.",
        )
    if old.root is None or old.issued is None:
        return
    if new.root != old.root:
        raise TrustError(
            f"The key in {file} was issued by another root, {new.root.key.short}; devices know "
            f"{old.root.key.short}.",
            "Issue it by that one. If it is lost, invite all devices anew, with another --state.",
        )
    if new.issued.number <= old.issued.number and new.key.public != old.key.public:
        raise TrustError(
            f"The key in {file} has the number {new.issued.number}, and the present one "
            f"{old.issued.number}: devices believe later ones only.",
            f"Issue another one with --after {old.issued.number}.",
        )


def make_root(file: Path) -> PublicKey:
    """Make a root in a file that is not there yet.

    Raises
    ------
    SettingsError
        If the file is there, or its folder is not.
    StorageError
        If it cannot be written.
    """
    _not_there(file)
    root = SecretKey.new()
    with replacing(file, 0o600, durable=True) as aside:
        aside.write_bytes(root.pem)
    return root.public


def issue_key(
    root_file: Path,
    file: Path,
    federation: str,
    after: int,
    clock: Callable[[], float] = time.time,
) -> KeyFile:
    """Make a key for an aggregator that a root has issued.

    Parameters
    ----------
    root_file
        Where the root is.
    file
        Where the key will be, with what the root says of it; not there yet.
    federation
        Which federation it is for.
    after
        Its number is larger than this.
    clock
        Gives the time, in seconds since 1970: the number, where that is larger still. So copies of
        a root need not know of each other.

    Raises
    ------
    SettingsError
        If the file is there, its folder is not, or there can be no such federation.
    TrustError
        If the root cannot be used.
    StorageError
        If the file cannot be written.
    """
    _not_there(file)
    if not is_name(federation):
        raise SettingsError(
            f"No federation can be called {federation!r}.",
            "Give small letters, digits and hyphens, at most 64.",
        )
    root, key = SecretKey.read(root_file), SecretKey.new()
    issued = issue(root, federation, max(int(clock()), after + 1), key.public)
    made = KeyFile(key, root=Root(root.public, federation), issued=issued)
    made.write(file)
    return made


def _not_there(file: Path) -> None:
    if file.exists():
        raise SettingsError(f"{file} is there already.", "Give the name of a file that is not.")
    # Made here, it would be on this machine's disk, and not on the medium that is not mounted.
    if not file.parent.is_dir():
        raise SettingsError(
            f"There is no folder {file.parent} for a key.", "Mount the medium, or make the folder."
        )
