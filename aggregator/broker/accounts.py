"""Who may use the embedded broker of a federation by invitation, and for what."""

import hmac
from pathlib import Path
from typing import NamedTuple

from aggregator.broker.packets import matches
from aggregator.enrolment.members import Members, digest_of
from shared.protocol.rights import Rights, rights_of
from shared.protocol.topics import Topics


class AccountsAt(NamedTuple):
    """Where the broker's process finds what it needs to know its clients, and to be known.

    Attributes
    ----------
    members
        The file of members, with their accounts.
    federation
        The federation's name.
    certificate
        File (PEM) of the broker's certificate and its key.
    """

    members: Path
    federation: str
    certificate: Path


class Pass(NamedTuple):
    """What a client that was let in may do, until its account changes.

    Attributes
    ----------
    username
        Whose account it is.
    digest
        Of the password that it gave.
    rights
        What it may do.
    """

    username: str
    digest: bytes
    rights: Rights

    def may_write(self, topic: str) -> bool:
        """Say whether it may publish to a topic."""
        return _covered(topic, self.rights.writes)

    def may_read(self, name: str) -> bool:
        """Say whether it may subscribe to a topic, or to a filter that has no more in it."""
        return "#" not in name and _covered(name, self.rights.reads)


def _covered(name: str, patterns: tuple[str, ...]) -> bool:
    levels = name.split("/")
    return any(matches(pattern.split("/"), levels) for pattern in patterns)


class Accounts:
    """Looks accounts up in the file of members, as they are at each moment.

    Parameters
    ----------
    at
        Where they are.
    """

    def __init__(self, at: AccountsAt) -> None:
        self._members = Members(at.members)
        self._topics = Topics(at.federation)

    def admit(self, username: str, password: bytes) -> Pass | None:
        """Give a client its pass, if it has an account and gives the account's password."""
        account = self._members.account(username)
        digest = digest_of(password)
        if account is None or not hmac.compare_digest(digest, account.digest):
            return None
        return Pass(username, digest, rights_of(account.kind, account.name, self._topics))

    def changed(self) -> bool:
        """Say whether an account may have changed since this was asked last."""
        return self._members.changed()

    def holds(self, given: Pass) -> bool:
        """Say whether a pass is still good."""
        account = self._members.account(given.username)
        return account is not None and account.digest == given.digest
