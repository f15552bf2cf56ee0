"""Members of a federation, made without a network: for tests of what they do afterwards."""

from pathlib import Path

from aggregator.enrolment.members import Members
from aggregator.ledger.folder import FederationFolder
from edge_client.enrolment.membership import Joined, Membership, MembershipFolder, write
from shared.trust.keys import SecretKey


def member(state: Path, folder: Path, name: str, federation: str = "chorus") -> Membership:
    """Make a device a member of the federation in ``state``; what it keeps lies in ``folder``.

    Called again, it gives what was made, as another process would read it.
    """
    place, aggregator = MembershipFolder(folder), FederationFolder(state)
    if not place.joined.exists():
        state.mkdir(parents=True, exist_ok=True)
        key = SecretKey.kept(place.key)
        with Members(aggregator.members) as members:
            members.add(name, key.public)
        told = str(SecretKey.kept(aggregator.key).public)
        write(place.joined, Joined(federation=federation, name=name, aggregator=told))
    return Membership(place)
