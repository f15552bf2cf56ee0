"""``edge-client`` as a member that lies in secure rounds, each time otherwise.

``liar.py edge-client LIE,LIE,... [WORDS...]``, one a round.

It is the command as it is, in a process of its own, with its own key and account, but for what it
says at one stage of each round.
"""

import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge_client.cli import main
from edge_client.secure.client import SecureClient
from shared.protocol.secure import Consent, DeviceKeys, Keys, Revealed, SealedShares
from shared.secure import statements


@dataclass(frozen=True)
class Lie:
    """What is said in place of the truth.

    Attributes
    ----------
    stage
        Which method of :class:`SecureClient` gives the truth.
    told
        Makes the lie of it. An empty word is not said at all.
    """

    stage: str
    told: Callable[[SecureClient, bytes], bytes]


def _with_keys(**changes: Any) -> Callable[[SecureClient, bytes], bytes]:
    """Give other keys, signed all the same."""

    def told(client: SecureClient, honest: bytes) -> bytes:
        keys = client._keys.model_copy(update=changes)
        statement = statements.keys_statement(client._round, client._me.name, keys)
        client._keys = keys.model_copy(update={"signature": client._me.key.sign(statement)})
        return Keys.decode(honest).model_copy(update={"keys": client._keys}).encode()

    return told


def _unsigned(_: SecureClient, honest: bytes) -> bytes:
    message = Keys.decode(honest)
    keys: DeviceKeys = message.keys.model_copy(update={"signature": bytes(64)})
    return message.model_copy(update={"keys": keys}).encode()


def _that_do_not_open(_: SecureClient, honest: bytes) -> bytes:
    message = SealedShares.decode(honest)
    sealed = {name: secrets.token_bytes(len(each)) for name, each in message.sealed.items()}
    return message.model_copy(update={"sealed": sealed}).encode()


def _for_some(_: SecureClient, honest: bytes) -> bytes:
    message = SealedShares.decode(honest)
    sealed = dict(list(message.sealed.items())[1:])
    return message.model_copy(update={"sealed": sealed}).encode()


def _over_others(client: SecureClient, honest: bytes) -> bytes:
    message = Consent.decode(honest)
    told = client._told.model_copy(update={"survivors": client._told.survivors[1:]})
    other = statements.survivors_statement(client._round, client._roster, told)
    return message.model_copy(update={"signature": client._me.key.sign(other)}).encode()


def _both(_: SecureClient, honest: bytes) -> bytes:
    message = Revealed.decode(honest)
    return message.model_copy(update={"keys": message.seeds}).encode()


def _made_up(_: SecureClient, honest: bytes) -> bytes:
    message = Revealed.decode(honest)
    seeds = {name: b"\0" + secrets.token_bytes(32) for name in message.seeds}
    return message.model_copy(update={"seeds": seeds}).encode()


def _nothing(_: SecureClient, __: bytes) -> bytes:
    return b""


def _no_more(_: SecureClient, __: bytes) -> bytes:
    threading.Event().wait()
    return b""


LIES: Final[Mapping[str, Lie]] = {
    "keys that it has not signed": Lie("keys", _unsigned),
    "a key of no use": Lie("keys", _with_keys(mask=bytes(32))),
    "another commitment": Lie("keys", _with_keys(commitment=bytes(32))),
    "no keys": Lie("keys", _nothing),
    "shares for some": Lie("shares", _for_some),
    "shares that do not open": Lie("shares", _that_do_not_open),
    "no shares": Lie("shares", _nothing),
    "an update cut short": Lie("masked", lambda _, honest: honest[:-1]),
    "an update of another round": Lie("masked", lambda _, honest: bytes(32) + honest[32:]),
    "no update": Lie("masked", _no_more),
    "a signature over others": Lie("consent", _over_others),
    "no signature": Lie("consent", _nothing),
    "both secrets": Lie("reveal", _both),
    "made-up shares": Lie("reveal", _made_up),
    "nothing revealed": Lie("reveal", _nothing),
}


def lie(stage: str, told: Mapping[int, Lie]) -> None:
    """Let the device say at a stage what it is told to, in some rounds."""
    honest = getattr(SecureClient, stage)

    def says(client: SecureClient, *given: Any) -> bytes:
        truth: bytes = honest(client, *given)
        found = told.get(client._terms.number)
        if found is None or found.stage != stage:
            return truth
        return found.told(client, truth)

    setattr(SecureClient, stage, says)


if __name__ == "__main__":
    told = dict(enumerate((LIES[name] for name in sys.argv[2].split(",")), 1))
    sys.argv[:3] = ["edge-client"]
    for stage in {each.stage for each in told.values()}:
        lie(stage, told)
    main()
