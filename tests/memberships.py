"""Members of a federation, made without a network: for tests of what they do afterwards."""

from pathlib import Path

from aggregator.enrolment.members import Invitation, Members
from aggregator.ledger.folder import FederationFolder
from edge_client.enrolment.membership import Joined, Membership, MembershipFolder, write
from shared.protocol.fields import Successor
from shared.protocol.joining import JoinRequest
from shared.protocol.topics import Topics
from shared.trust.exchange import new_secret, public_half
from shared.trust.joining import proof_of
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.signing import signed


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


def request(
    invitation: Invitation,
    key: SecretKey,
    aggregator: PublicKey,
    *,
    half: bytes | None = None,
    nonce: bytes = bytes(16),
    successor: Successor | None = None,
) -> bytes:
    """Ask to join the federation ``chorus`` with an invitation, as a device that has this key."""
    topic, half = Topics("chorus").join(invitation.name), half or public_half(new_secret())
    proof = proof_of(
        invitation.code,
        topic,
        device=key.public,
        aggregator=aggregator,
        half=half,
        nonce=nonce,
    )
    asked = JoinRequest(
        key=str(key.public),
        half=half.hex(),
        nonce=nonce.hex(),
        proof=proof.hex(),
        successor=successor,
    )
    return signed(key, topic, asked.encode(), 0)
