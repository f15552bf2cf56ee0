"""A round that is open, and updates for it, for tests of what receives them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aggregator.rounds.federation import Federation
from shared.codecs import make_codec
from shared.codecs.update_file import encode_update
from shared.protocol.messages import Offer
from shared.randomness import stream
from tests.aggregator.driver import come, random_update, settings
from tests.edge_client.tiny import TINY


def open_round(state: Path, clients: Sequence[str] = ("anna", "ben"), **values: Any) -> Federation:
    """Open a federation's first round for these clients."""
    federation = Federation(settings(state, quorum=len(clients), chunk=1024, **values))
    federation.rounds.start(0)
    assert come(federation, clients)
    return federation


def update_of(client: str, folder: Path, number: int = 1) -> bytes:
    """Give the content of an update's file."""
    path = folder / "update"
    delta = random_update(client, number).delta[:]
    encode_update(delta, TINY, make_codec("float32"), stream(0, "codec", client)).write(path)
    content = path.read_bytes()
    path.unlink()
    return content


def offer_of(federation: Federation, content: bytes, **values: Any) -> Offer:
    """Offer an update honestly, but for these values."""
    honest = {
        "update": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "run": federation.ledger.run,
        "round": 1,
        "model": federation.current.digest,
        "codec": "float32",
        "examples": 7,
    }
    return Offer.model_validate(honest | values)
