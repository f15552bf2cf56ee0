"""Who was invited and who has joined, for the page of a federation by invitation."""

import logging
from collections.abc import Collection, Mapping
from typing import NamedTuple

from aggregator.enrolment.links import is_out, is_told, link_for, shut_out
from aggregator.enrolment.members import Members
from aggregator.ledger.folder import FederationFolder
from shared.mqtt.addresses import is_loopback

log = logging.getLogger(__name__)


class Enrolment(NamedTuple):
    """What is known of a name.

    Attributes
    ----------
    key
        The first digits of its key; empty before it has joined.
    since
        When it joined, in seconds since 1970.
    expires
        Until when a link is good that nobody has used, in seconds since 1970.
    """

    key: str = ""
    since: float | None = None
    expires: float | None = None


class Invited(NamedTuple):
    """A link that was made.

    Attributes
    ----------
    link
        The link: whoever has it can join.
    expires
        Until when, in seconds since 1970.
    told
        Whether the broker knows of it.
    here
        Whether it leads to this machine only from itself.
    """

    link: str
    expires: float
    told: bool
    here: bool


class Enrolled:
    """Tells who is in a federation by invitation; invites, and shuts out.

    Parameters
    ----------
    folder
        Of the federation.
    """

    def __init__(self, folder: FederationFolder) -> None:
        self._folder = folder
        self._members = Members(folder.members)
        self._read: Mapping[str, Enrolment] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._members.close()

    def read(self) -> Mapping[str, Enrolment]:
        """Give everybody, by name; the same object while nothing has changed. For one thread.

        Raises
        ------
        TrustError
            If the list of members is damaged.
        StorageError
            If it cannot be read.
        """
        if self._members.changed():
            found = {
                name: Enrolment(member.key.short, member.since)
                for name, member in self._members.joined().items()
            }
            for name, invitation in self._members.invitations().items():
                if invitation.used_by is None:
                    known = found.get(name, Enrolment())
                    found[name] = known._replace(expires=invitation.expires)
            self._read = found
        return self._read

    def joined(self) -> Collection[str]:
        """Name who has joined, read anew; for any thread. Raises what :meth:`read` does."""
        return self._members.joined().keys()

    def invite(self, name: str, *, again: bool, hours: float, address: str | None) -> Invited:
        """Invite a device, and wait, bounded, until the broker knows of it.

        Parameters
        ----------
        name, again, hours, address
            As :func:`aggregator.enrolment.links.link_for` has them.

        Raises
        ------
        ChorusError
            As :func:`aggregator.enrolment.links.link_for`.
        """
        made, expires = link_for(self._folder, name, hours=hours, again=again, address=address)
        log.info("%s was invited from the page.", name)
        told = is_told(self._folder, name)
        return Invited(str(made), expires, told, is_loopback(made.host))

    def revoke(self, name: str) -> bool:
        """Shut a device out; wait, bounded, until the broker knows of it, and say whether it does.

        Raises what :func:`aggregator.enrolment.links.shut_out` does.
        """
        shut_out(self._folder, name)
        log.info("%s was shut out from the page.", name)
        return is_out(self._folder, name)
