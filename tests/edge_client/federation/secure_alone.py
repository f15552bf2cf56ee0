"""A participant alone with a test, which is a member that secure rounds are announced to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aggregator.enrolment.voice import Voice
from aggregator.ledger.folder import FederationFolder
from shared.protocol.secure import kind_of
from shared.protocol.secure_offer import SecureOffer
from shared.trust.keys import SecretKey
from shared.trust.signing import unsigned
from tests.edge_client.federation.alone import TOPICS, Alone
from tests.edge_client.federation.announcements import announcement, model_of
from tests.edge_client.tiny import TINY
from tests.memberships import member
from tests.secure_rounds import lasting_key


def secure_round(folder: Path, **terms: Any) -> tuple[Alone, Callable[[], None]]:
    """Give a member, and what announces a secure round with two others to it."""
    membership = member(folder / "aggregator", folder / "membership", "kitchen")
    keys = {name: lasting_key(name).public for name in ("ben", "cleo")}
    keys["kitchen"] = SecretKey.read(folder / "membership" / "key.pem").public
    secure = SecureOffer(
        bits=13,
        examples=100,
        octaves=[0] * len(TINY.manifest),
        fewest=3,
        devices={name: str(key) for name, key in keys.items()},
    )
    it = Alone(folder / "part", membership=membership, terms=terms)
    asked = announcement(model_of(it.folder), secure=secure, codecs=["ring"]).encode()
    payload = Voice(FederationFolder(folder / "aggregator")).sign(TOPICS.round, asked)
    return it, lambda: it.connection.on_message(TOPICS.round, payload)


def words_of(it: Alone) -> list[str]:
    """Name what was said of the secure round."""
    requests = TOPICS.requests("kitchen")
    kinds = [kind_of(unsigned(one.payload)) for one in it.connection.said if one.topic == requests]
    return [kind for kind in kinds if kind.startswith("secure")]
