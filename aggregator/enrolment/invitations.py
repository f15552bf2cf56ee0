"""Inviting a device, letting in the one that has the code, shutting a device out.

Each of the three is one transaction: whoever is killed on the way has done nothing, and a device
that hears no answer asks again and gets the same one.
"""

import hmac
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aggregator.enrolment.members import Invitation, Member, Members
from shared.errors import SettingsError, TrustError
from shared.protocol.fields import MOST_HANDED_OVER, Successor
from shared.protocol.joining import JoinRequest
from shared.protocol.topics import Topics, aggregator_name, is_name
from shared.trust.exchange import new_secret, public_half
from shared.trust.joining import (
    account_password,
    guest_password,
    new_code,
    proof_of,
)
from shared.trust.keys import PublicKey
from shared.trust.signing import counter_of
from shared.trust.succession import newest

HOUR: Final = 3600.0


def invite(
    members: Members, topics: Topics, name: str, *, hours: float, again: bool = False
) -> Invitation:
    """Invite a device; an earlier invitation of the same name is good no more.

    Parameters
    ----------
    members
        Where it is written down.
    topics
        Of the federation.
    name
        What the device will be called.
    hours
        How long the invitation is good.
    again
        Whether it is for a device that has joined already, and has lost its key. The old key is
        good until the device has joined with another one.

    Raises
    ------
    SettingsError
        If there can be no such name, or a device of this name has joined and it is not ``again``.
    """
    if not is_name(name) or name == aggregator_name(topics.federation):
        raise SettingsError(
            f"No device can be called {name!r}.",
            "Give small letters, digits and hyphens, at most 64.",
        )
    with members.transaction() as connection:
        if (known := members.joined().get(name)) and not again:
            raise SettingsError(
                f"{name} has joined already, with the key {known.key.short}.",
                "Give another name, or --again for the same device with a new card; "
                f"`aggregator revoke {name}` shuts it out.",
            )
        made = Invitation(name, new_code(), new_secret(), members.clock() + hours * HOUR)
        connection.execute(
            "INSERT OR REPLACE INTO invitations (name, code, secret, expires) VALUES (?, ?, ?, ?)",
            (made.name, made.code, made.secret, made.expires),
        )
        members.put_account(topics.guest(name), "guest", name, guest_password(made.code))
    return made


def revoke(members: Members, name: str) -> bool:
    """Shut a device out: its key, its account, its invitation. Say whether there was any."""
    with members.transaction() as connection:
        gone = [
            connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,)).rowcount  # noqa: S608 -- ours
            for table in ("members", "invitations", "heard")
        ]
        others = "FROM accounts WHERE name = ? AND kind <> 'aggregator'"
        connection.execute(
            f"INSERT OR REPLACE INTO revoked SELECT username, name {others}", (name,)
        )
        connection.execute(f"DELETE {others}", (name,))
    return any(gone)


class LetIn(NamedTuple):
    """What comes of a device that may join.

    Attributes
    ----------
    half
        What it is given of the exchange that makes its account's password.
    password
        The password.
    first
        Whether it was not a member before. One that asks again may not have heard the answer;
        nothing is written for it.
    """

    half: bytes
    password: str
    first: bool


def let_in(
    members: Members, topics: Topics, name: str, payload: bytes, aggregator: Sequence[PublicKey]
) -> LetIn:
    """Make a device a member that asks with the code of its invitation.

    Parameters
    ----------
    members, topics
        Of the federation.
    name
        In whose name it asks.
    payload
        What it asks with.
    aggregator
        The aggregator's key, and those before it: the link may be of that time.

    Raises
    ------
    ProtocolError
        If it is no such request.
    TrustError
        If the device may not join.
    """
    request, topic = JoinRequest.decode(payload), topics.join(name)
    device, half = PublicKey.of(request.key), bytes.fromhex(request.half)
    counter_of(device, topic, payload)  # whoever asks has the key
    with members.transaction() as connection:
        invitation = members.invitations().get(name)
        if invitation is None:
            raise _refused(name, "nobody has invited it, or it was revoked")
        known: dict[str, Any] = {
            "device": device,
            "half": half,
            "nonce": bytes.fromhex(request.nonce),
        }
        proofs = [proof_of(invitation.code, topic, aggregator=key, **known) for key in aggregator]
        if not any(hmac.compare_digest(one, bytes.fromhex(request.proof)) for one in proofs):
            raise _refused(name, "its code is not that of the last invitation")
        if invitation.used_by is None and members.clock() > invitation.expires:
            raise _refused(name, "the invitation has expired")
        used_by = invitation.used_by
        if used_by is not None and (used_by, invitation.half) != (device, half):
            raise _refused(name, f"the invitation was used already, by the key {used_by.short}")
        password = account_password(invitation.code, invitation.secret, half, topic)
        if used_by is None:
            members.add(name, device, _succession(members.joined().get(name), request, device))
            connection.execute(
                "UPDATE invitations SET used_by = ?, half = ? WHERE name = ?",
                (device.raw, half, name),
            )
            members.put_account(topics.identifier(name), "device", name, password)
    return LetIn(public_half(invitation.secret), password, used_by is None)


def passwords(members: Members, topics: Topics) -> dict[str, str]:
    """Compute the passwords of accounts, by user, as far as their invitations are there."""
    found = {}
    for name, invitation in members.invitations().items():
        code, half = invitation.code, invitation.half
        found[topics.guest(name)] = guest_password(code)
        if half:
            topic = topics.join(name)
            password = account_password(code, invitation.secret, half, topic)
            found[topics.identifier(name)] = password
    return found


def _succession(
    known: Member | None, request: JoinRequest, device: PublicKey
) -> Sequence[Successor]:
    """Give how a member's new key came after the one it had; nothing if that one has not said."""
    said = [request.successor] if request.successor else []
    if known is None or newest(known.key, said) != device:
        return ()
    return [*known.succession, *said][-MOST_HANDED_OVER:]


def _refused(name: str, why: str) -> TrustError:
    return TrustError(
        f"{name} cannot join: {why}.",
        f"Ask for another link: `aggregator invite {name} --again`.",
    )
