"""A device asks to join: the code proves that it was invited, its new key is made here.

All that is asked with lies on the disk before it is sent. So who is killed on the way asks the same
again, and is answered the same. What is kept of an earlier membership is replaced last of all.
"""

import os
import queue
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from edge_client.enrolment.membership import Joined, MembershipFolder, write
from shared.errors import BrokerError, ProtocolError, TrustError
from shared.mqtt.broker_settings import BrokerSettings
from shared.mqtt.connection import Connection
from shared.protocol.fields import Bytes32
from shared.protocol.joining import JoinAnswer, JoinRequest, Nonce
from shared.protocol.topics import Topics
from shared.storage.files import read_file, replacing, storage_errors
from shared.trust.counter import write_number
from shared.trust.exchange import new_secret, public_half
from shared.trust.issuing import Root
from shared.trust.joining import (
    account_password,
    guest_password,
    proof_of,
)
from shared.trust.keys import PublicKey, SecretKey
from shared.trust.link import Link
from shared.trust.signing import signed
from shared.trust.succession import hand_over, newest, signer_of

AGAIN: Final = 5.0
"""Seconds after which it asks again."""

PATIENCE: Final = 30.0
"""Seconds that it waits for the broker and for an answer."""


class Pending(BaseModel):
    """What a device asks with, until it is answered."""

    link: str
    secret: Bytes32
    nonce: Nonce


def ask_to_join(
    link: Link,
    folder: Path,
    *,
    connect: Callable[..., Connection] = Connection,
    patience: float = PATIENCE,
) -> None:
    """Join a federation, or see that the device has joined with this link already.

    Parameters
    ----------
    link
        The invitation.
    folder
        Where the membership will be kept; what is there of an earlier one is replaced.
    connect
        Makes the connection to the broker.
    patience
        Seconds to wait for the broker and for an answer.

    Raises
    ------
    TrustError
        If the link is not good any more, or the device belongs to another federation of this name.
    BrokerError
        If the broker cannot be reached, or is another one than the link names.
    StorageError
        If the disk is full.
    """
    place, new = MembershipFolder(folder), MembershipFolder(folder.with_name(f".{folder.name}"))
    if _joined_with(place, link):
        return
    if not _joined_with(new, link):
        pending = _pending(new, link)
        before = _before(place, link)
        _keep(new, link, pending, _ask(new, link, pending, before, connect, patience))
    with storage_errors(folder):
        # Whom it knows, and in which rounds it has given an update, it does not forget.
        for name in (place.others.name, place.given.name):
            if (folder / name).exists():
                shutil.copy2(folder / name, new.path / name)
        aside = folder.with_name(f".{folder.name}.before")
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            folder.replace(aside)
        new.path.replace(folder)
        shutil.rmtree(aside, ignore_errors=True)


def broker_of(link: Link, place: MembershipFolder) -> BrokerSettings:
    """Give the settings of the broker for a device that has joined."""
    if place.authority.exists():
        known = {"fingerprint": None, "ca_file": place.authority}
        return _broker(link, password_file=place.password, **known)
    return _broker(link, password_file=place.password)


def _broker(link: Link, **more: Any) -> BrokerSettings:
    pin = link.fingerprint.hex() if link.fingerprint else None
    where = {"host": link.host, "port": link.port, "tls": link.tls, "fingerprint": pin}
    return BrokerSettings.parse(where | more)


def _joined_with(place: MembershipFolder, link: Link) -> bool:
    """Say whether the device has joined with this link, and has what it was let in with.

    Raises
    ------
    TrustError
        If it has joined another federation of the same name.
    """
    if not place.joined.exists():
        return False
    joined = Joined.read(place.joined)
    if joined.link == _digest(link):
        return place.key.exists() and place.password.exists()
    # One without a root may have one since: its aggregator's answer will show that.
    may_have_one = joined.root is None and link.issued is not None
    if not may_have_one and (joined.root or joined.aggregator) != str(link.aggregator):
        raise _another(joined, place.path)
    return False


def _another(joined: Joined, path: Path) -> TrustError:
    return TrustError(
        f"This device has joined another federation called {joined.federation}, as {joined.name}.",
        f"To leave that one, remove {path}; or give another --state.",
    )


def _digest(link: Link) -> str:
    """Tell a link from others, without its code."""
    import hashlib

    return hashlib.sha256(str(link).encode()).hexdigest()


def _pending(new: MembershipFolder, link: Link) -> Pending:
    """Take up what was asked with before, or make it: the key, and half of the exchange."""
    try:
        pending = Pending.model_validate_json(read_file(new.pending))
        if pending.link == _digest(link):
            return pending
    except (FileNotFoundError, ValidationError):
        pass
    with storage_errors(new.path):
        shutil.rmtree(new.path, ignore_errors=True)
        new.path.mkdir(parents=True, mode=0o700)
    SecretKey.kept(new.key)
    with replacing(new.guest, 0o600) as aside:
        aside.write_text(guest_password(link.code))
    pending = Pending(link=_digest(link), secret=new_secret().hex(), nonce=os.urandom(16).hex())
    write(new.pending, pending)
    return pending


class _Before(NamedTuple):
    """What the device has of an earlier membership; nothing, if there was none."""

    path: Path
    joined: Joined | None = None
    key: SecretKey | None = None
    """Its key, if it has the same name."""


def _before(place: MembershipFolder, link: Link) -> _Before:
    try:
        joined = Joined.read(place.joined) if place.joined.exists() else None
        same = joined is not None and joined.name == link.name
        return _Before(place.path, joined, SecretKey.read(place.key) if same else None)
    except TrustError:
        return _Before(place.path)  # a damaged one is no reason not to join anew


def _ask(
    new: MembershipFolder,
    link: Link,
    pending: Pending,
    before: _Before,
    connect: Callable[..., Connection],
    patience: float,
) -> tuple[JoinAnswer, Joined, int]:
    """Ask until there is an answer; give it with what is believed then, and its number."""
    topics = Topics(link.federation)
    asked, answered = topics.join(link.name), topics.joined(link.name)
    events: queue.SimpleQueue[bytes | str] = queue.SimpleQueue()
    guest = topics.guest(link.name)
    connection = connect(
        _broker(link, username=guest, password_file=new.guest),
        link.name,
        identifier=guest,
        subscriptions=[answered],
        on_message=lambda _, payload: events.put(payload),
        on_change=lambda _, sentence: events.put(sentence),
    )
    request, last = _request(new, link, pending, before.key, asked), ""
    now = asked_at = time.monotonic()
    end = now + patience
    connection.start()
    try:
        while (now := time.monotonic()) < end:
            if connection.connected and now >= asked_at:
                connection.publish(asked, request, wait=False)
                asked_at = now + AGAIN
            try:
                event = events.get(timeout=min(AGAIN, end - now))
            except queue.Empty:
                continue
            if connection.refused:
                raise _turned_away(link, connection.refused)
            if isinstance(event, str):
                last = "" if connection.connected else event
            elif answer := _answer(event, link, pending, before):
                return answer
    finally:
        connection.close()
    raise BrokerError(
        last or f"The aggregator of the federation {link.federation} does not answer.",
        "Look whether `aggregator serve --by-invitation` runs, then give the same command again.",
    )


def _turned_away(link: Link, refused: BrokerError) -> BrokerError | TrustError:
    if "refuses the user" not in refused.problem:
        return refused
    return TrustError(
        f"The broker {link.host}:{link.port} does not know this link: it was replaced by another "
        "one, or withdrawn.",
        f"Ask for another: `aggregator invite {link.name} --again`.",
    )


def _request(
    new: MembershipFolder, link: Link, pending: Pending, before: SecretKey | None, topic: str
) -> bytes:
    key, half = SecretKey.read(new.key), public_half(bytes.fromhex(pending.secret))
    proof = proof_of(
        link.code,
        topic,
        device=key.public,
        aggregator=link.aggregator,
        half=half,
        nonce=bytes.fromhex(pending.nonce),
    )
    request = JoinRequest(
        key=str(key.public),
        half=half.hex(),
        nonce=pending.nonce,
        proof=proof.hex(),
        successor=hand_over(before, key.public) if before else None,
    )
    return signed(key, topic, request.encode(), 0)


def _answer(
    payload: bytes, link: Link, pending: Pending, before: _Before
) -> tuple[JoinAnswer, Joined, int] | None:
    """Read an answer, what is believed by it, and its number.

    ``None`` if it is not the aggregator's, or to another request.
    """
    try:
        joined, number = _believed(payload, link, before.joined)
        answer = JoinAnswer.decode(payload)
    except (TrustError, ProtocolError):
        return None
    if answer.nonce != pending.nonce:
        return None
    if answer.half is None:
        raise TrustError(answer.sentence)
    had = before.joined
    if had and joined.root and not had.root:
        follows = newest(PublicKey.of(had.aggregator), answer.succession or ())
        if str(follows) != joined.aggregator:
            raise _another(had, before.path)
    return answer, joined, number


def _believed(payload: bytes, link: Link, before: Joined | None) -> tuple[Joined, int]:
    """Check who has signed an answer; give what the device believes if it joins, and its number."""
    topic = Topics(link.federation).joined(link.name)
    known = partial(Joined, federation=link.federation, name=link.name, link=_digest(link))
    if link.issued is None:
        key, number = signer_of(link.aggregator, topic, payload)
        return known(aggregator=str(key)), number
    root = Root(link.aggregator, link.federation)
    least = max(link.issued, before.issued if before else 0)
    issued, number = root.signer_of(least, topic, payload)
    return known(aggregator=issued.key, root=str(root.key), issued=issued.number), number


def _keep(
    new: MembershipFolder, link: Link, pending: Pending, answered: tuple[JoinAnswer, Joined, int]
) -> None:
    """Keep what the aggregator has answered; that the device has joined is written last."""
    answer, joined, number = answered
    topic = Topics(link.federation).join(link.name)
    half = bytes.fromhex(answer.half or "")
    password = account_password(link.code, bytes.fromhex(pending.secret), half, topic)
    with replacing(new.password, 0o600) as aside:
        aside.write_text(password)
    if answer.authority:
        with replacing(new.authority) as aside:
            aside.write_text(answer.authority)
    # Nothing that was announced before the device joined is news to it.
    write_number(new.heard_of(joined), number)
    write(new.joined, joined)
    new.pending.unlink(missing_ok=True)
    new.guest.unlink(missing_ok=True)
